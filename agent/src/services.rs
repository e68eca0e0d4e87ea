//! `containers`: brought up with compose's meaning.
