//! A small second opinion: what a room should be after any row of wishes, honest or not.
//!
//! The model knows roles and epochs and nothing else. It decides each wish by a table written down
//! here on its own; the rules must agree, and what they accept must lead to the same room.

use std::collections::{BTreeMap, BTreeSet};

use mathia_protocol::crypto::commit::{Commit, HistoryRule, Policy, Role, RoomMode, WhoAdds};
use mathia_protocol::id::AccountId;
use mathia_protocol::id::TimeMs;
use mathia_protocol::log::{
    Change, CommitFault, Context, RoomState, must_rotate, validate_commit, wrapped_set,
};
use proptest::prelude::*;

use super::town::{Room, Town};

const N_PEOPLE: usize = 6;

/// Somebody wants something; people are numbered.
#[derive(Debug, Clone)]
struct Wish {
    author: usize,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Add(usize, Role),
    Remove(usize),
    Leave,
    SetRole(usize, Role),
    Rotate,
    SetPolicy(HistoryRule, WhoAdds, u32),
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Owner, Role::Admin, Role::Moderator, Role::Member, Role::Guest])
}

fn wish() -> impl Strategy<Value = Wish> {
    let who = || 0..N_PEOPLE;
    let history = prop::sample::select(vec![HistoryRule::SinceJoin, HistoryRule::All]);
    let who_adds = prop::sample::select(vec![WhoAdds::Admin, WhoAdds::Any]);
    let what = prop_oneof![
        4 => (who(), role()).prop_map(|(who, role)| What::Add(who, role)),
        2 => who().prop_map(What::Remove),
        2 => Just(What::Leave),
        3 => (who(), role()).prop_map(|(who, role)| What::SetRole(who, role)),
        1 => Just(What::Rotate),
        1 => (history, who_adds, 0u32..2).prop_map(|(h, w, days)| What::SetPolicy(h, w, days)),
    ];
    (who(), what).prop_map(|(author, what)| Wish { author, what })
}

/// The second opinion.
#[derive(Debug, Clone)]
struct Model {
    roles: BTreeMap<usize, Role>,
    policy: Policy,
    epoch: u32,
    removed_by_others: BTreeSet<usize>,
    /// Who was a member during the epoch and is none now.
    missing: BTreeSet<usize>,
}

impl Model {
    fn new(policy: Policy) -> Self {
        let epoch = u32::from(policy.mode == RoomMode::E2ee);
        let roles = BTreeMap::from([(0, Role::Owner), (1, Role::Admin), (2, Role::Member)]);
        Self { roles, policy, epoch, removed_by_others: BTreeSet::new(), missing: BTreeSet::new() }
    }

    fn rank(role: Role) -> u8 {
        role.to_byte()
    }

    /// Whether the room still has an owner, or nobody left, if it had one before.
    fn keeps_owner(&self, roles: &BTreeMap<usize, Role>) -> bool {
        let has = |roles: &BTreeMap<usize, Role>| roles.values().any(|role| *role == Role::Owner);
        !has(&self.roles) || roles.is_empty() || has(roles)
    }

    fn may(&self, wish: &Wish) -> bool {
        let Some(author) = self.roles.get(&wish.author).copied() else {
            let joins = matches!(wish.what, What::Add(who, Role::Member) if who == wish.author);
            let waits = self.removed_by_others.contains(&wish.author);
            return joins && self.policy.mode == RoomMode::Open && !waits;
        };
        let is_admin = Self::rank(author) <= Self::rank(Role::Admin);
        let is_owner = author == Role::Owner;
        match wish.what {
            What::Add(who, role) => {
                let is_new = !self.roles.contains_key(&who);
                let small = Self::rank(role) >= Self::rank(Role::Member);
                let any = self.policy.who_adds == WhoAdds::Any && author != Role::Guest && small;
                is_new && (is_owner || is_admin && role != Role::Owner || any)
            }
            What::Remove(who) => {
                let Some(target) = self.roles.get(&who).copied() else { return false };
                let small = Self::rank(target) >= Self::rank(Role::Member);
                let allowed = is_owner
                    || is_admin && target != Role::Owner
                    || author == Role::Moderator && small;
                who != wish.author && allowed
            }
            What::Leave => {
                let mut roles = self.roles.clone();
                roles.remove(&wish.author);
                self.keeps_owner(&roles)
            }
            What::SetRole(who, role) => {
                let Some(old) = self.roles.get(&who).copied() else { return false };
                let mut roles = self.roles.clone();
                roles.insert(who, role);
                let touches_owner = old == Role::Owner || role == Role::Owner;
                let allowed = is_owner || is_admin && !touches_owner;
                old != role && allowed && self.keeps_owner(&roles)
            }
            What::Rotate => true,
            What::SetPolicy(..) => is_admin,
        }
    }

    fn carry_out(&mut self, wish: &Wish) {
        let mut raises = false;
        match wish.what {
            What::Add(who, role) => {
                self.roles.insert(who, role);
                self.removed_by_others.remove(&who);
                self.missing.remove(&who);
                raises = self.policy.history == HistoryRule::SinceJoin;
            }
            What::Remove(who) => {
                self.roles.remove(&who);
                self.removed_by_others.insert(who);
                raises = true;
            }
            What::Leave => {
                self.roles.remove(&wish.author);
                self.missing.insert(wish.author);
            }
            What::SetRole(who, role) => {
                self.roles.insert(who, role);
            }
            What::Rotate => raises = true,
            What::SetPolicy(history, who_adds, retention_days) => {
                raises = history != self.policy.history;
                self.policy = Policy { history, who_adds, retention_days, ..self.policy };
            }
        }
        if raises && self.policy.mode == RoomMode::E2ee {
            self.epoch += 1;
            self.missing.clear();
        }
    }
}

fn change(wish: &Wish, people: &[AccountId], policy: Policy) -> Change {
    match wish.what {
        What::Add(who, role) => Change::Add(vec![(people[who], role)]),
        What::Remove(who) => Change::Remove(vec![people[who]]),
        What::Leave => Change::Leave,
        What::SetRole(who, role) => Change::SetRole(vec![(people[who], role)]),
        What::Rotate => Change::Rotate,
        What::SetPolicy(history, who_adds, retention_days) => {
            let policy = Policy { history, who_adds, retention_days, ..policy };
            Change::SetPolicy(policy, Vec::new())
        }
    }
}

fn people(town: &mut Town) -> Vec<AccountId> {
    ["ann", "bob", "cid", "dee", "eve", "fay"].map(|handle| town.person(handle)).to_vec()
}

fn founded(town: &Town, people: &[AccountId], policy: Policy) -> Room {
    let others = [(people[1], Role::Admin), (people[2], Role::Member)];
    Room::group(town, policy, &others, people[0])
}

proptest! {
    /// The rules accept exactly what the table allows, and lead to the same room.
    #[test]
    fn the_rules_agree_with_the_table(
        is_open in any::<bool>(),
        wishes in prop::collection::vec(wish(), 1..40),
    ) {
        let mut town = Town::new();
        let people = people(&mut town);
        let policy = if is_open { Policy::OPEN } else { Policy::GROUP };
        let mut room = founded(&town, &people, policy);
        let mut model = Model::new(policy);
        for wish in &wishes {
            let change = change(wish, &people, model.policy);
            let result = room.commit(&town, people[wish.author], &change);
            prop_assert_eq!(result.is_ok(), model.may(wish), "{:?}: {:?}", wish, result);
            if result.is_ok() {
                model.carry_out(wish);
            }
            for (who, account) in people.iter().enumerate() {
                prop_assert_eq!(room.role(*account), model.roles.get(&who).copied());
            }
            prop_assert_eq!(room.state.epoch().epoch.0, model.epoch);
            prop_assert_eq!(room.state.policy(), model.policy);
            let must = must_rotate(&room.state, &town.chains, TimeMs(2_000), 1);
            let is_sealed = policy.mode == RoomMode::E2ee;
            prop_assert_eq!(must.is_some(), is_sealed && !model.missing.is_empty());
            let n_wraps = wrapped_set(&room.state, &town.chains).map(|set| set.len());
            prop_assert_eq!(n_wraps, Ok(if is_sealed { model.roles.len() } else { 0 }));
        }
        let commits = room.commits.iter().map(|(seq, time, commit)| (*seq, *time, commit));
        prop_assert_eq!(RoomState::rebuild(commits), Some(room.state.clone()));
        // A newcomer who verifies from the Create agrees with everybody.
        let (_, time, create) = &room.commits[0];
        let mut state = RoomState::create(create, *time).expect("the first is a Create");
        for (seq, time, commit) in &room.commits[1..] {
            let verdict = validate_commit(&state, commit, &town.chains, Context::History);
            prop_assert!(verdict.is_ok());
            state.apply(*seq, *time, commit);
        }
        prop_assert_eq!(state, room.state);
    }

    /// No commit with a single flipped bit is accepted.
    #[test]
    fn a_commit_with_a_flipped_bit_is_never_accepted(at in any::<prop::sample::Index>()) {
        let mut town = Town::new();
        let people = people(&mut town);
        let room = founded(&town, &people, Policy::GROUP);
        let mut after = room.clone();
        after.commit(&town, people[0], &Change::Add(vec![(people[3], Role::Member)])).expect("an owner adds");
        let (_, _, commit) = after.commits.last().expect("it was committed");
        let mut entry = commit.entry().to_vec();
        let bit = at.index(entry.len() * 8);
        entry[bit / 8] ^= 1 << (bit % 8);
        if let Ok(commit) = Commit::decode(entry) {
            let verdict = validate_commit(&room.state, &commit, &town.chains, Context::Live);
            prop_assert!(verdict.is_err());
        }
    }

    /// Of several commits on one head exactly one enters; all others are told to rebuild.
    #[test]
    fn of_rivals_on_one_head_one_wins(authors in prop::collection::vec(0usize..3, 2..5)) {
        let mut town = Town::new();
        let people = people(&mut town);
        let mut room = founded(&town, &people, Policy::GROUP);
        let rivals: Vec<Commit> = authors
            .iter()
            .map(|author| {
                let mut aside = room.clone();
                aside.commit(&town, people[*author], &Change::Rotate).expect("anyone rotates");
                aside.commits.pop().expect("it was committed").2
            })
            .collect();
        let results: Vec<_> =
            rivals.iter().map(|commit| room.take(&town, commit, Context::Live)).collect();
        prop_assert!(results[0].is_ok());
        for result in &results[1..] {
            prop_assert!(matches!(result, Err(CommitFault::HeadMoved { commit_no: 2, .. })), "{:?}", result);
        }
    }
}
