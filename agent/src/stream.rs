//! Readers and writers of bytes, one concern a file.
