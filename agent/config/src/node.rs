//! A YAML document as a tree that remembers where everything stood and how it was written.
//!
//! Scalars keep their text: whether `NO` is a country or a boolean is for the rule of its key to say, not for the parser.

/// Where something stands in the file, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One value of the document and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it starts.
    pub at: Position,
}

/// The three shapes of YAML.
#[derive(Debug, Clone)]
pub enum Value {
    /// Text, number, boolean or null; not yet told apart.
    Scalar(Scalar),
    /// `- a` or `[a]`.
    Sequence(Vec<Node>),
    /// `a: b`, in the order of the file; keys are scalars.
    Mapping(Vec<(Node, Node)>),
}

/// A scalar as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// Its text after unquoting and folding.
    pub text: String,
    /// Unquoted and without a `!!str` tag: may be a number, boolean or null.
    pub plain: bool,
}
