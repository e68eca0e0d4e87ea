//! A YAML document as a tree that remembers where everything stood and how it was written.
//!
//! Scalars keep their text: whether `NO` is a country or a boolean is for the rule of its key to say, not for the parser.

use crate::scalar::{self, Kind};

/// Where something stands in the file, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize)]
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
    /// What its tag asks for.
    pub tag: Tag,
}

/// The tags of compose: what becomes of what is below a value when services are put on each other. A scalar with one is a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tag {
    /// No tag, or one that says nothing but a type.
    #[default]
    None,
    /// `!reset`: what is below goes, and so does the value.
    Reset,
    /// `!override`: what is below goes, and the value stands.
    Override,
}

impl Tag {
    /// As it is written.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Tag::None => None,
            Tag::Reset => Some("!reset"),
            Tag::Override => Some("!override"),
        }
    }
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

impl Scalar {
    /// What a YAML 1.2 reader makes of it.
    pub fn kind(&self) -> Kind {
        if self.plain { scalar::kind(&self.text) } else { Kind::Text }
    }
}

impl Node {
    /// A value at a place, without a tag.
    pub fn at(value: Value, at: Position) -> Node {
        Node { value, at, tag: Tag::None }
    }

    /// A text, as if quoted.
    pub fn text(text: impl Into<String>) -> Node {
        Value::Scalar(Scalar { text: text.into(), plain: false }).into()
    }

    /// An unquoted word: number, boolean or null where it looks like one.
    pub fn word(text: impl Into<String>) -> Node {
        Value::Scalar(Scalar { text: text.into(), plain: true }).into()
    }

    /// A mapping with these keys.
    pub fn mapping<K: Into<String>>(entries: impl IntoIterator<Item = (K, Node)>) -> Node {
        Value::Mapping(entries.into_iter().map(|(key, value)| (Node::text(key), value)).collect()).into()
    }

    /// The scalar it is, null included.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Its items, if it is a sequence.
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// Its entries in the order of the file, if it is a mapping.
    pub fn as_mapping(&self) -> Option<&[(Node, Node)]> {
        match &self.value {
            Value::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The text of any scalar but null: `NO`, `1234` and `22:22` are the strings.
    pub fn as_text(&self) -> Option<&str> {
        self.as_scalar().filter(|scalar| scalar.kind() != Kind::Null).map(|scalar| scalar.text.as_str())
    }

    /// A boolean, by the words of YAML 1.1 (`yes`, `Off`, `TRUE`…), quoted or not, and `1` and `0`.
    pub fn as_bool(&self) -> Option<bool> {
        match self.as_scalar()?.text.as_str() {
            "1" => Some(true),
            "0" => Some(false),
            word => scalar::boolean(word),
        }
    }

    /// An unquoted whole number in decimal; leading zeros mean nothing, as in YAML 1.2.
    pub fn as_int(&self) -> Option<i64> {
        let scalar = self.as_scalar().filter(|scalar| scalar.plain)?;
        let digits = scalar.text.strip_prefix('-').unwrap_or(&scalar.text);
        let well_formed = digits.bytes().all(|byte| byte.is_ascii_digit());
        if well_formed { scalar.text.parse().ok() } else { None }
    }

    /// Null, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        self.as_scalar().is_some_and(|scalar| scalar.kind() == Kind::Null)
    }

    /// Says nothing: null, `""`, `{}` or `[]`.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.text.is_empty() || scalar.kind() == Kind::Null,
            Value::Sequence(items) => items.is_empty(),
            Value::Mapping(entries) => entries.is_empty(),
        }
    }

    /// What the mapping holds under this key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// What the mapping holds under this key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Mapping(entries) => {
                entries.iter_mut().find(|(name, _)| name.key_text() == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Key and value of this key of the mapping; the key's place is where to point.
    pub fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        self.as_mapping()?.iter().find(|(name, _)| name.key_text() == key)
    }

    /// Its text where it is a key: null is the empty text.
    pub fn key_text(&self) -> &str {
        self.as_scalar().map_or("", |scalar| &scalar.text)
    }

    /// `mapping`, `list`, `text`, `number`, `boolean` or `nothing`: for messages.
    pub fn shape(&self) -> &'static str {
        match &self.value {
            Value::Mapping(_) => "a mapping",
            Value::Sequence(_) => "a list",
            Value::Scalar(scalar) => match scalar.kind() {
                Kind::Null => "nothing",
                Kind::Bool => "a boolean",
                Kind::Int | Kind::Float => "a number",
                Kind::Text => "a text",
            },
        }
    }

    /// Equal as values and tags, wherever they stand and however they were quoted; `80` and `'80'` differ where they have no tag.
    pub fn same(&self, other: &Node) -> bool {
        let same = match (&self.value, &other.value) {
            (Value::Scalar(one), Value::Scalar(two)) => {
                let (text, kind) = (one.text == two.text, one.kind() == two.kind());
                if self.tag == Tag::None { kind && (text || one.kind() == Kind::Null) } else { text }
            }
            (Value::Sequence(one), Value::Sequence(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.same(two))
            }
            (Value::Mapping(one), Value::Mapping(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.0.same(&two.0) && one.1.same(&two.1))
            }
            _ => false,
        };
        same && self.tag == other.tag
    }

    /// Without what `!reset` takes back. What is below `!override` is left as it is: there compose takes no tag for one of its own.
    pub fn without_resets(&self) -> Node {
        let stays = |node: &&Node| node.tag != Tag::Reset;
        let value = match &self.value {
            Value::Sequence(items) if self.tag == Tag::None => {
                Value::Sequence(items.iter().filter(stays).map(Node::without_resets).collect())
            }
            Value::Mapping(entries) if self.tag == Tag::None => {
                let entries = entries.iter().filter(|(_, value)| stays(&value));
                Value::Mapping(entries.map(|(key, value)| (key.clone(), value.without_resets())).collect())
            }
            value => value.clone(),
        };
        Node { value, ..*self }
    }

    /// What it is where nothing lies below: without tags, and without what they take back.
    pub fn settled(&self) -> Node {
        let mut settled = self.without_resets();
        settled.each(&mut |node| {
            if let (Value::Scalar(scalar), true) = (&mut node.value, node.tag != Tag::None) {
                scalar.plain = false;
            }
            node.tag = Tag::None;
        });
        settled
    }

    /// Calls this with every value in it, itself first; recursion is safe, for no document is deep.
    fn each(&mut self, change: &mut dyn FnMut(&mut Node)) {
        change(self);
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::Sequence(items) => items.iter_mut().for_each(|item| item.each(change)),
            Value::Mapping(entries) => entries.iter_mut().for_each(|(_, value)| value.each(change)),
        }
    }

    /// As JSON, scalars as YAML 1.2 reads them; numbers that JSON cannot hold stay text.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar(scalar) => scalar_to_json(scalar),
            Value::Sequence(items) => items.iter().map(Node::to_json).collect(),
            Value::Mapping(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.key_text().to_string(), value.to_json()));
                serde_json::Value::Object(entries.collect())
            }
        }
    }

    /// From JSON: strings as if quoted, the rest as words.
    pub fn from_json(json: &serde_json::Value) -> Node {
        match json {
            serde_json::Value::String(text) => Node::text(text),
            serde_json::Value::Array(items) => Value::Sequence(items.iter().map(Node::from_json).collect()).into(),
            serde_json::Value::Object(entries) => {
                Node::mapping(entries.iter().map(|(key, value)| (key.as_str(), Node::from_json(value))))
            }
            word => Node::word(word.to_string()),
        }
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Node {
        Node::at(value, Position::default())
    }
}

fn scalar_to_json(scalar: &Scalar) -> serde_json::Value {
    let text = scalar.text.as_str();
    let radix =
        |prefix: &str, radix| text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, radix).ok());
    let number = match scalar.kind() {
        Kind::Null => return serde_json::Value::Null,
        Kind::Bool => return scalar::boolean(text).into(),
        Kind::Text => None,
        Kind::Int if text.starts_with("0x") => radix("0x", 16).map(Into::into),
        Kind::Int if text.starts_with("0o") => radix("0o", 8).map(Into::into),
        Kind::Int => text.parse::<i64>().map(Into::into).or_else(|_| text.parse::<u64>().map(Into::into)).ok(),
        Kind::Float => text.parse().ok().and_then(serde_json::Number::from_f64),
    };
    number.map_or_else(|| text.into(), serde_json::Value::Number)
}
