//! The values of labels: configured names and fixed words.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use super::attribute::Value;
use crate::names::{FrontendName, PartName, RouteName, UpstreamName};

/// A configured name or a fixed word. No text of a request can become a label, so the number of series is bounded.
#[derive(Clone, Debug)]
pub struct Label(Text);

#[derive(Clone, Debug)]
enum Text {
    Name(Arc<str>),
    Word(&'static str),
}

impl Label {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Name(name) => name,
            Text::Word(word) => word,
        }
    }
}

impl From<&'static str> for Label {
    fn from(word: &'static str) -> Self {
        Self(Text::Word(word))
    }
}

impl From<Arc<str>> for Label {
    /// The text of a configured name.
    fn from(name: Arc<str>) -> Self {
        Self(Text::Name(name))
    }
}

impl From<Label> for Value {
    fn from(label: Label) -> Self {
        match label.0 {
            Text::Name(name) => Self::Name(name),
            Text::Word(word) => Self::Word(word),
        }
    }
}

impl From<&FrontendName> for Label {
    fn from(name: &FrontendName) -> Self {
        Self(Text::Name(name.shared()))
    }
}

impl From<&RouteName> for Label {
    fn from(name: &RouteName) -> Self {
        Self(Text::Name(name.shared()))
    }
}

impl From<&PartName> for Label {
    fn from(name: &PartName) -> Self {
        Self(Text::Name(name.shared()))
    }
}

impl From<&UpstreamName> for Label {
    fn from(name: &UpstreamName) -> Self {
        Self(Text::Name(name.shared()))
    }
}

impl Eq for Label {}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

/// Gives each variant of an enum its label: `as_str`, and `ALL` with every variant.
macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The label value.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}
pub(crate) use words;

/// The one label of a metric that counts how something ended.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Outcome {
    pub(super) result: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_name_and_a_word_that_read_alike_are_one_series() {
        let name = RouteName::parse("orders").unwrap();
        let labels = HashSet::from([Label::from(&name), Label::from("orders")]);
        assert_eq!(labels.len(), 1);
        assert!(!labels.contains(&Label::from("users")));
    }
}
