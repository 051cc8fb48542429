//! Which role may do what to whom (CRYPTO B3, "Roles").
//!
//! Pure questions, asked by [`super::validate`] and by every face that greys out what is not
//! allowed. Knows nothing of chains, epochs or room kinds.

use crate::crypto::commit::{Role, WhoAdds};

/// Says whether `author` may add a member with the role `granted`.
pub fn may_add(author: Role, who_adds: WhoAdds, granted: Role) -> bool {
    match author {
        Role::Owner => true,
        Role::Admin => granted != Role::Owner,
        Role::Moderator | Role::Member => {
            who_adds == WhoAdds::Any && matches!(granted, Role::Member | Role::Guest)
        }
        Role::Guest | Role::Agent => false,
    }
}

/// Says whether `author` may remove somebody else with the role `target`.
pub fn may_remove(author: Role, target: Role) -> bool {
    match author {
        Role::Owner => true,
        Role::Admin => target != Role::Owner,
        Role::Moderator => matches!(target, Role::Member | Role::Guest),
        Role::Member | Role::Guest | Role::Agent => false,
    }
}

/// Says whether `author` may change a role `from` one `to` another, its own included.
pub fn may_set_role(author: Role, from: Role, to: Role) -> bool {
    match author {
        Role::Owner => true,
        Role::Admin => from != Role::Owner && to != Role::Owner,
        Role::Moderator | Role::Member | Role::Guest | Role::Agent => false,
    }
}

/// Says whether `author` may replace the policy, rename the room, and admit or dismiss agents.
pub fn may_administer(author: Role) -> bool {
    matches!(author, Role::Owner | Role::Admin)
}

/// Says whether `author` may start a new epoch or leave: everyone but agents, who commit nothing.
pub fn may_commit(author: Role) -> bool {
    author != Role::Agent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_an_owner_touches_owners() {
        for author in Role::ALL.iter().copied().filter(|role| *role != Role::Owner) {
            assert!(!may_add(author, WhoAdds::Any, Role::Owner));
            assert!(!may_remove(author, Role::Owner));
            for other in Role::ALL.iter().copied() {
                assert!(!may_set_role(author, Role::Owner, other));
                assert!(!may_set_role(author, other, Role::Owner));
            }
        }
    }

    #[test]
    fn a_moderator_removes_members_and_guests_only() {
        let removable: Vec<Role> =
            Role::ALL.iter().copied().filter(|role| may_remove(Role::Moderator, *role)).collect();
        assert_eq!(removable, [Role::Member, Role::Guest]);
    }

    #[test]
    fn a_member_adds_only_if_the_policy_says_so_and_never_above_itself() {
        assert!(!may_add(Role::Member, WhoAdds::Admin, Role::Member));
        assert!(may_add(Role::Member, WhoAdds::Any, Role::Guest));
        assert!(!may_add(Role::Member, WhoAdds::Any, Role::Moderator));
        assert!(!may_add(Role::Member, WhoAdds::Any, Role::Agent));
        assert!(!may_add(Role::Guest, WhoAdds::Any, Role::Guest));
    }
}
