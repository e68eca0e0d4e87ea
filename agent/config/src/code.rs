//! Every code a finding can carry, in one place. A code never changes its meaning.

macro_rules! codes {
    ($($name:ident = $text:literal: $what:literal;)*) => {
        $(#[doc = $what] pub const $name: &str = $text;)*
        /// Code and what it stands for, one line each.
        pub const ALL: &[(&str, &str)] = &[$(($text, $what)),*];
    };
}

codes! {
    TOO_BIG = "E-CFG-TOO-BIG": "The file, or what it expands to, is larger than any real one.";
    ENCODING = "E-CFG-ENCODING": "Bytes that are not text.";
    SYNTAX = "E-CFG-SYNTAX": "Not YAML.";
    TAB = "E-CFG-TAB": "A tab where YAML wants spaces.";
    QUOTES = "E-CFG-QUOTES": "Typographic quotes where YAML wants straight ones.";
    NBSP = "E-CFG-NBSP": "A no-break space where YAML wants a space.";
    NULS = "E-CFG-NULS": "Zero bytes at the end, as a cut write leaves them.";
    DUPLICATE = "E-CFG-DUPLICATE": "The same key twice.";
    DOCUMENTS = "E-CFG-DOCUMENTS": "More than one document in the file.";
    ALIAS = "E-CFG-ALIAS": "An alias that cannot be followed.";
    MERGE = "E-CFG-MERGE": "A merge key (`<<`) whose value is not a mapping.";
    TAG = "E-CFG-TAG": "A YAML tag that means nothing here.";
    MORE = "E-CFG-MORE": "More findings than are worth listing.";
    TYPE = "E-CFG-TYPE": "A value of the wrong kind.";
    VALUE = "E-CFG-VALUE": "A value that its key does not allow.";
    MISSING = "E-CFG-MISSING": "A key that must be there is not.";
    UNKNOWN = "E-CFG-UNKNOWN": "A key that nothing reads.";
    CONTROL = "E-CFG-CONTROL": "A control character in a text.";
    CONFLICT = "E-CFG-CONFLICT": "Two values that cannot both hold.";
    WEAK = "E-CFG-WEAK": "A digest that can be forged.";
    PORT_80 = "E-CFG-PORT-80": "No service publishes port 80.";
    LAST_GOOD = "E-CFG-LAST-GOOD": "The record of the settings in force is damaged.";
    FILE_NAME = "E-CFG-FILE-NAME": "More than one settings file.";
    COMPOSE_VALUE = "E-CFG-COMPOSE-VALUE": "A value that compose does not allow; the service is refused.";
    COMPOSE_KEY = "E-CFG-COMPOSE-KEY": "A key of compose that is not honoured; the service is refused.";
    COMPOSE_IMAGE = "E-CFG-COMPOSE-IMAGE": "A service without image; it is refused.";
    COMPOSE_BUILD = "E-CFG-COMPOSE-BUILD": "`build`: nothing is built on the box.";
    COMPOSE_CLASH = "E-CFG-COMPOSE-CLASH": "Two things in services that exclude each other; the service is refused.";
    COMPOSE_UNKNOWN = "E-CFG-COMPOSE-UNKNOWN": "A key that compose does not know.";
    COMPOSE_IGNORED = "E-CFG-COMPOSE-IGNORED": "A key of compose that means nothing on one box.";
    COMPOSE_PULL = "E-CFG-COMPOSE-PULL": "A pull policy that is not followed.";
    COMPOSE_RELATIVE = "E-CFG-COMPOSE-RELATIVE": "A relative bind source.";
    COMPOSE_VARIABLE = "E-CFG-COMPOSE-VARIABLE": "A variable, which nothing on a box sets.";
}

#[cfg(test)]
mod tests {
    #[test]
    fn codes_are_unique_and_look_alike() {
        let codes: std::collections::BTreeSet<&str> = super::ALL.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes.len(), super::ALL.len());
        assert!(codes.iter().all(|code| code.starts_with("E-CFG-")));
    }
}
