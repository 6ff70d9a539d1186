//! What a token must allow for what the driver does: granular scopes, which new apps have, and classic ones.

use crate::auth::ScopeNeed;

/// The scopes for the whole life of a meeting.
///
/// Each with the names for an own user and for all users of an account; classic scopes are wider.
pub fn scopes_needed() -> Vec<ScopeNeed> {
    const NEEDS: [(&str, &str, &str); 6] = [
        ("create a meeting", "meeting:write:meeting", "meeting:write"),
        ("find a meeting again after a lost answer", "meeting:read:list_meetings", "meeting:read"),
        ("look at a meeting", "meeting:read:meeting", "meeting:read"),
        ("change a meeting", "meeting:update:meeting", "meeting:write"),
        ("end a meeting", "meeting:update:status", "meeting:write"),
        ("delete a meeting", "meeting:delete:meeting", "meeting:write"),
    ];
    let all = |(purpose, granular, classic): (&str, &str, &str)| {
        let names = [granular, classic]
            .map(|scope| [scope.to_owned(), format!("{scope}:admin"), format!("{scope}:master")]);
        ScopeNeed { purpose: purpose.to_owned(), any_of: names.concat() }
    };
    NEEDS.into_iter().map(all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn missing(granted: &[&str]) -> Vec<String> {
        let granted: BTreeSet<String> = granted.iter().map(|&scope| scope.to_owned()).collect();
        let needs = scopes_needed();
        crate::auth::missing(&needs, &granted).into_iter().map(|need| need.any_of[0].clone()).collect()
    }

    #[test]
    fn classic_scopes_and_those_of_administrators_will_do() {
        assert!(missing(&["meeting:write", "meeting:read"]).is_empty());
        assert!(missing(&["meeting:write:admin", "meeting:read:admin"]).is_empty());
        assert_eq!(
            missing(&["meeting:read", "meeting:write:meeting", "meeting:update:meeting:admin"]),
            ["meeting:update:status", "meeting:delete:meeting"]
        );
    }
}
