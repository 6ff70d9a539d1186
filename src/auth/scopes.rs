//! What a token allows, against what is needed.

use std::collections::BTreeSet;

/// Something that the driver does, and what allows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopeNeed {
    /// What for, to be read after "to": `create a meeting`.
    pub purpose: String,
    /// Any one of these is enough: a service may have wide and narrow scopes, and old and new names. The first is the one to
    /// recommend.
    pub any_of: Vec<String>,
}

impl ScopeNeed {
    /// The need for one of `any_of`, to `purpose`.
    pub fn new(purpose: &str, any_of: &[&str]) -> Self {
        Self { purpose: purpose.to_owned(), any_of: any_of.iter().map(|&scope| scope.to_owned()).collect() }
    }

    /// Whether `granted` has one of them.
    pub fn is_met_by(&self, granted: &BTreeSet<String>) -> bool {
        self.any_of.iter().any(|scope| granted.contains(scope))
    }
}

/// `meeting:write:meeting (to create a meeting)`, with the other names that would do.
impl std::fmt::Display for ScopeNeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.any_of.as_slice() {
            [] => f.write_str("nothing")?,
            [only] => f.write_str(only)?,
            [first, others @ ..] => write!(f, "{first} (or {})", others.join(", "))?,
        }
        write!(f, " to {}", self.purpose)
    }
}

/// The needs that `granted` does not meet. A service that tells no scopes at all is believed to grant what is needed.
pub fn missing<'n>(needed: &'n [ScopeNeed], granted: &BTreeSet<String>) -> Vec<&'n ScopeNeed> {
    if granted.is_empty() {
        return Vec::new();
    }
    needed.iter().filter(|need| !need.is_met_by(granted)).collect()
}

/// Scopes as they stand in an answer: names with spaces between.
pub(super) fn parse(text: &str) -> BTreeSet<String> {
    // Some services separate by commas.
    text.split([' ', ',']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_alternatives_is_enough_and_a_narrower_name_is_none_of_them() {
        let create = ScopeNeed::new("create a meeting", &["meeting:write:meeting", "meeting:write"]);
        let end = ScopeNeed::new("end a meeting", &["meeting:update:status", "meeting:write"]);
        let needs = [create.clone(), end.clone()];
        assert_eq!(missing(&needs, &parse("meeting:write user:read")), Vec::<&ScopeNeed>::new());
        assert_eq!(missing(&needs, &parse("meeting:write:meeting")), [&end]);
        assert_eq!(missing(&needs, &parse("meeting:writer,user:read")), [&create, &end]);
        assert_eq!(missing(&needs, &parse("")), Vec::<&ScopeNeed>::new(), "nothing is known");
        assert_eq!(end.to_string(), "meeting:update:status (or meeting:write) to end a meeting");
    }
}
