//! Who may change a room, and what a change must say.

use std::collections::BTreeMap;

use mathia_protocol::crypto::commit::{
    AgentScope, CommitFields, CommitKind, HistoryRule, Member, Policy, Role, RoomKind, WhoAdds,
};
use mathia_protocol::crypto::user_chain::UserChain;
use mathia_protocol::id::{AccountId, Epoch, Hash, Seq, TimeMs};
use mathia_protocol::log::{
    BadSeen, Change, CommitFault, Context, DeviceFault, Note, RoomState, agents_to_key, check_seen,
    may_have_key, propose_create, validate_commit, wrapped_set, wraps_needed,
};

use super::town::{Room, Town};

/// Ann owns a group with bob (admin), mo (moderator), eve (member), gus (guest); zoe is outside.
struct Cast {
    town: Town,
    room: Room,
    ann: AccountId,
    bob: AccountId,
    mo: AccountId,
    eve: AccountId,
    gus: AccountId,
    zoe: AccountId,
}

fn cast(policy: Policy) -> Cast {
    let mut town = Town::new();
    let [ann, bob, mo, eve, gus, zoe] =
        ["ann", "bob", "mo", "eve", "gus", "zoe"].map(|handle| town.person(handle));
    let others =
        [(bob, Role::Admin), (mo, Role::Moderator), (eve, Role::Member), (gus, Role::Guest)];
    let room = Room::group(&town, policy, &others, ann);
    Cast { town, room, ann, bob, mo, eve, gus, zoe }
}

fn not_allowed<T: PartialEq + std::fmt::Debug>(result: &Result<T, CommitFault>) -> bool {
    matches!(result, Err(CommitFault::NotAllowed(..)))
}

#[test]
fn an_owner_runs_a_room_from_beginning_to_end() {
    let Cast { town, mut room, ann, bob, zoe, .. } = cast(Policy::GROUP);
    assert_eq!(room.state.epoch().epoch, Epoch(1));
    let applied = room.commit(&town, ann, &Change::Add(vec![(zoe, Role::Member)])).unwrap();
    assert!(applied.starts_epoch, "a newcomer reads nothing from before");
    assert_eq!(applied.newcomers, [zoe]);
    let applied = room.commit(&town, ann, &Change::Remove(vec![zoe])).unwrap();
    assert_eq!((applied.starts_epoch, applied.gone), (true, vec![zoe]));
    room.commit(&town, ann, &Change::SetRole(vec![(bob, Role::Owner)])).unwrap();
    let applied = room.commit(&town, ann, &Change::Leave).unwrap();
    assert!(!applied.starts_epoch, "the leaver does not choose the next secret");
    assert_eq!(room.state.epoch().epoch, Epoch(3));
    assert_eq!(room.role(bob), Some(Role::Owner));
    assert_eq!(room.state.removed_by(zoe), Some(ann));
    assert_eq!(room.state.removed_by(ann), None, "she left by herself");
}

#[test]
fn a_state_rebuilt_from_commits_alone_is_the_same() {
    let Cast { town, mut room, ann, eve, zoe, .. } = cast(Policy::GROUP);
    room.extend(Hash([1; 32]));
    room.commit(&town, ann, &Change::Add(vec![(zoe, Role::Guest)])).unwrap();
    room.extend(Hash([2; 32]));
    room.commit(&town, eve, &Change::Leave).unwrap();
    let commits = room.commits.iter().map(|(seq, time, commit)| (*seq, *time, commit));
    assert_eq!(RoomState::rebuild(commits), Some(room.state));
}

#[test]
fn who_was_a_member_when_is_remembered() {
    let Cast { town, mut room, ann, eve, zoe, .. } = cast(Policy::GROUP);
    room.commit(&town, ann, &Change::Add(vec![(zoe, Role::Member)])).unwrap();
    room.commit(&town, eve, &Change::Leave).unwrap();
    room.commit(&town, ann, &Change::Remove(vec![zoe])).unwrap();
    let was = |account, seq| room.state.member_at(account, Seq(seq)).is_some();
    assert_eq!([1, 2, 3, 4].map(|seq| was(zoe, seq)), [false, true, true, false]);
    assert_eq!([0, 1, 2, 3].map(|seq| was(eve, seq)), [false, true, true, false]);
    let during = |account, epoch| room.state.was_member_during(account, Epoch(epoch));
    assert_eq!([1, 2, 3].map(|epoch| during(zoe, epoch)), [false, true, false]);
    assert_eq!([1, 2, 3].map(|epoch| during(eve, epoch)), [true, true, false]);
    assert_eq!(room.state.epoch_at(Seq(3)).map(|record| record.epoch), Some(Epoch(2)));
    assert_eq!(room.state.epoch_end(Epoch(2)), Some(Seq(4)));
}

#[test]
fn an_admin_may_everything_but_change_owners() {
    let Cast { town, mut room, ann, bob, mo, zoe, .. } = cast(Policy::GROUP);
    for change in [
        Change::Remove(vec![ann]),
        Change::SetRole(vec![(ann, Role::Member)]),
        Change::SetRole(vec![(bob, Role::Owner)]),
        Change::Add(vec![(zoe, Role::Owner)]),
    ] {
        assert!(not_allowed(&room.commit(&town, bob, &change)), "{change:?}");
    }
    room.commit(&town, bob, &Change::SetRole(vec![(mo, Role::Admin)])).unwrap();
    let policy = Policy { who_adds: WhoAdds::Any, ..Policy::GROUP };
    let applied = room.commit(&town, bob, &Change::SetPolicy(policy, vec![])).unwrap();
    assert!(!applied.starts_epoch, "who adds is no matter of keys");
}

#[test]
fn lower_roles_do_what_the_table_says_and_no_more() {
    let Cast { town, room, ann, bob, mo, eve, gus, zoe } = cast(Policy::GROUP);
    let add = |role| Change::Add(vec![(zoe, role)]);
    for (author, change) in [
        (mo, Change::Remove(vec![bob])),
        (mo, add(Role::Member)),
        (mo, Change::SetRole(vec![(gus, Role::Member)])),
        (mo, Change::SetPolicy(Policy::GROUP, vec![])),
        (eve, Change::Remove(vec![gus])),
        (eve, add(Role::Guest)),
        (gus, add(Role::Guest)),
        (gus, Change::Remove(vec![ann])),
    ] {
        let mut room = room.clone();
        assert!(not_allowed(&room.commit(&town, author, &change)), "{change:?}");
    }
    let mut open_doors = room.clone();
    let policy = Policy { who_adds: WhoAdds::Any, ..Policy::GROUP };
    open_doors.commit(&town, ann, &Change::SetPolicy(policy, vec![])).unwrap();
    assert!(not_allowed(&open_doors.clone().commit(&town, eve, &add(Role::Moderator))));
    assert!(not_allowed(&open_doors.clone().commit(&town, gus, &add(Role::Guest))));
    open_doors.commit(&town, eve, &add(Role::Member)).unwrap();
    for author in [ann, bob, mo, eve, gus] {
        let mut room = room.clone();
        room.commit(&town, author, &Change::Rotate).unwrap();
    }
    for author in [bob, mo, eve, gus] {
        let mut room = room.clone();
        room.commit(&town, author, &Change::Leave).unwrap();
    }
    room.clone().commit(&town, mo, &Change::Remove(vec![eve, gus])).unwrap();
}

#[test]
fn a_stranger_commits_nothing() {
    let Cast { town, mut room, zoe, .. } = cast(Policy::GROUP);
    for change in [Change::Rotate, Change::Leave, Change::Add(vec![(zoe, Role::Member)])] {
        assert_eq!(room.commit(&town, zoe, &change), Err(CommitFault::NotMember(zoe)));
    }
}

#[test]
fn a_sole_owner_stays_while_others_are_there() {
    let Cast { town, mut room, ann, bob, mo, eve, gus, .. } = cast(Policy::GROUP);
    assert_eq!(room.commit(&town, ann, &Change::Leave), Err(CommitFault::SoleOwner));
    let demote = Change::SetRole(vec![(ann, Role::Admin)]);
    assert_eq!(room.commit(&town, ann, &demote), Err(CommitFault::SoleOwner));
    room.commit(&town, ann, &Change::Remove(vec![bob, mo, eve, gus])).unwrap();
    room.commit(&town, ann, &Change::Leave).unwrap();
    assert_eq!(room.state.n_people(), 0);
}

#[test]
fn the_second_of_two_commits_on_one_head_is_told_to_rebuild() {
    let Cast { town, mut room, ann, bob, .. } = cast(Policy::GROUP);
    let key = town.key(town.device(bob));
    let mut late = room.proposal(&town, bob, &Change::Leave).unwrap().fields;
    late.time = TimeMs(5);
    let late = late.sign(key).unwrap();
    room.commit(&town, ann, &Change::Rotate).unwrap();
    let fault = CommitFault::HeadMoved { head: room.state.head(), commit_no: 2 };
    assert_eq!(room.take(&town, &late, Context::Live), Err(fault));
}

#[test]
fn a_commit_is_believed_only_with_its_authors_signature() {
    let Cast { town, mut room, ann, bob, .. } = cast(Policy::GROUP);
    let fields = room.proposal(&town, ann, &Change::Leave).unwrap().fields;
    let forged = fields.sign(town.key(town.device(bob))).unwrap();
    assert_eq!(room.take(&town, &forged, Context::Live), Err(CommitFault::Signature));
    let bobs = town.device(bob);
    let wrong_device = room.commit_with(&town, ann, &Change::Leave, |f| f.device = bobs);
    assert_eq!(wrong_device, Err(CommitFault::Device(DeviceFault::Unknown)));
}

#[test]
fn a_revoked_device_commits_nothing_more_but_its_past_stays_valid() {
    let Cast { mut town, mut room, ann, bob, .. } = cast(Policy::GROUP);
    let phone = town.add_device(bob);
    let mut fields = room.proposal(&town, bob, &Change::Leave).unwrap().fields;
    fields.device = phone;
    let commit = fields.sign(town.key(phone)).unwrap();
    town.revoke(bob, phone);
    let fault = CommitFault::Device(DeviceFault::Revoked);
    assert_eq!(room.clone().take(&town, &commit, Context::Live), Err(fault));
    assert!(room.clone().take(&town, &commit, Context::History).is_ok());
    // Once a commit has recorded the revocation, nothing of the device is valid behind it.
    room.commit(&town, ann, &Change::Rotate).unwrap();
    let late = room.commit_with(&town, bob, &Change::Leave, |f| f.device = phone);
    assert_eq!(late, Err(fault));
    let mut fields = room.proposal(&town, bob, &Change::Leave).unwrap().fields;
    fields.device = phone;
    let late = fields.sign(town.key(phone)).unwrap();
    assert_eq!(room.take(&town, &late, Context::History), Err(fault));
}

#[test]
fn a_member_who_leaves_by_a_device_just_added_is_found_in_the_chain() {
    let Cast { mut town, mut room, eve, .. } = cast(Policy::GROUP);
    let phone = town.add_device(eve);
    room.commit_with(&town, eve, &Change::Leave, |fields| fields.device = phone).unwrap();
    assert!(!room.state.is_member(eve));
}

#[test]
fn every_lie_in_a_commit_has_its_name() {
    let Cast { town, room, ann, bob, eve, gus, zoe, .. } = cast(Policy::GROUP);
    let twist = |change: Change, twist: &dyn Fn(&mut CommitFields)| {
        room.clone().commit_with(&town, ann, &change, |fields| {
            twist(fields);
        })
    };
    let rehashed = |change: Change, twist: &dyn Fn(&mut CommitFields)| {
        room.clone().commit_with(&town, ann, &change, |fields| {
            twist(fields);
            room.rehash(fields);
        })
    };
    let record = |account| *room.state.member(account).unwrap();
    let add = || Change::Add(vec![(zoe, Role::Member)]);

    assert_eq!(twist(add(), &|f| f.commit_no += 1), Err(CommitFault::CommitNo));
    assert_eq!(twist(add(), &|f| f.suite = 0), Err(CommitFault::Suite));
    assert_eq!(twist(add(), &|f| f.members_hash = Hash([9; 32])), Err(CommitFault::MembersHash));
    assert_eq!(twist(add(), &|f| f.policy_hash = Hash([9; 32])), Err(CommitFault::PolicyHash));
    assert_eq!(twist(add(), &|f| f.changed.clear()), Err(CommitFault::Shape(CommitKind::Add)));
    assert_eq!(
        rehashed(Change::Rotate, &|f| f.changed.push(record(bob))),
        Err(CommitFault::NoChange(bob))
    );
    assert_eq!(
        rehashed(Change::Rotate, &|f| f.removed.push(bob)),
        Err(CommitFault::Shape(CommitKind::Rotate)),
        "nobody is removed under another name"
    );
    assert_eq!(
        rehashed(Change::Rotate, &|f| f.changed.push(Member { role: Role::Owner, ..record(eve) })),
        Err(CommitFault::Shape(CommitKind::Rotate))
    );
    assert_eq!(
        rehashed(Change::Remove(vec![gus]), &|f| f.removed.push(zoe)),
        Err(CommitFault::NobodyToRemove(zoe))
    );
    assert_eq!(
        rehashed(Change::Remove(vec![gus]), &|f| f.removed.push(ann)),
        Err(CommitFault::Shape(CommitKind::Remove))
    );
    assert_eq!(
        rehashed(add(), &|f| f.changed[0].flags = Member::AGENT_MENTION),
        Err(CommitFault::Flags(zoe))
    );
    assert_eq!(
        rehashed(add(), &|f| f.changed[0].role = Role::Agent),
        Err(CommitFault::AgentRole(zoe))
    );
    assert_eq!(
        rehashed(add(), &|f| f.changed[0].chain_hash = Hash([3; 32])),
        Err(CommitFault::ChainFork(zoe))
    );
    assert_eq!(
        rehashed(add(), &|f| f.changed[0].chain_seq = 2),
        Err(CommitFault::NeedChain { account: zoe, seq: 2 })
    );
    assert_eq!(
        twist(Change::Rotate, &|f| f.policy = Some(Policy::GROUP)),
        Err(CommitFault::Shape(CommitKind::Rotate))
    );
}

#[test]
fn a_chain_head_never_goes_backwards() {
    let Cast { mut town, mut room, ann, bob, .. } = cast(Policy::GROUP);
    let before = *room.state.member(bob).unwrap();
    town.add_device(bob);
    room.commit(&town, ann, &Change::Rotate).unwrap();
    assert_eq!(room.state.member(bob).map(|member| member.chain_seq), Some(2));
    let state = room.clone();
    let fault = room.commit_with(&town, ann, &Change::Rotate, |fields| {
        fields.changed.push(before);
        state.rehash(fields);
    });
    assert_eq!(fault, Err(CommitFault::ChainBack(bob)));
}

#[test]
fn epochs_rise_by_one_exactly_where_they_must() {
    let Cast { town, room, ann, eve, gus, zoe, .. } = cast(Policy::GROUP);
    let with = |change: Change, epoch: u32, kc: Option<u8>| {
        room.clone().commit_with(&town, ann, &change, |fields| {
            fields.epoch = Epoch(epoch);
            fields.kc = kc.map_or(room.state.epoch().kc, |byte| Hash([byte; 32]));
            fields.settings_box = (epoch != 1).then(|| vec![1; 50]);
        })
    };
    let add = || Change::Add(vec![(zoe, Role::Member)]);
    for change in [Change::Rotate, Change::Remove(vec![gus]), add()] {
        assert_eq!(with(change.clone(), 1, None), Err(CommitFault::EpochStep { found: 1 }));
        assert_eq!(with(change.clone(), 3, Some(1)), Err(CommitFault::EpochStep { found: 3 }));
        assert_eq!(with(change.clone(), 2, None), Err(CommitFault::KeyCommit));
        assert_eq!(with(change.clone(), 2, Some(0)), Err(CommitFault::KeyCommit));
        assert!(with(change, 2, Some(1)).is_ok());
    }
    let promote = || Change::SetRole(vec![(eve, Role::Moderator)]);
    let retention = || Change::SetPolicy(Policy { retention_days: 9, ..Policy::GROUP }, vec![]);
    for change in [promote(), retention()] {
        assert_eq!(with(change.clone(), 2, Some(1)), Err(CommitFault::EpochStep { found: 2 }));
        assert_eq!(with(change.clone(), 1, Some(1)), Err(CommitFault::KeyCommit));
        assert!(with(change, 1, None).is_ok());
    }
    let mut leaver = room.clone();
    let fault = leaver.commit_with(&town, eve, &Change::Leave, |fields| {
        fields.epoch = Epoch(2);
        fields.kc = Hash([1; 32]);
    });
    assert_eq!(fault, Err(CommitFault::EpochStep { found: 2 }), "the leaver chose a secret");
    let history = Change::SetPolicy(Policy { history: HistoryRule::All, ..Policy::GROUP }, vec![]);
    assert_eq!(with(history, 1, None), Err(CommitFault::EpochStep { found: 1 }));
}

#[test]
fn where_history_is_shared_an_add_may_keep_the_epoch() {
    let policy = Policy { history: HistoryRule::All, ..Policy::GROUP };
    let Cast { town, mut room, ann, zoe, .. } = cast(policy);
    let before = room.state.clone();
    let applied = room.commit(&town, ann, &Change::Add(vec![(zoe, Role::Member)])).unwrap();
    assert!(!applied.starts_epoch);
    let (_, _, commit) = room.commits.last().unwrap();
    let needed = wraps_needed(Some(&before), commit, &town.chains).unwrap();
    assert_eq!(needed.iter().map(|target| target.account).collect::<Vec<_>>(), [zoe]);
    assert_eq!(wrapped_set(&room.state, &town.chains).unwrap().len(), 6);
}

#[test]
fn a_new_secret_goes_to_every_device_the_commit_knows_and_to_no_other() {
    let Cast { mut town, mut room, ann, bob, .. } = cast(Policy::GROUP);
    let phone = town.add_device(bob);
    let devices = |room: &Room, town: &Town| -> Vec<_> {
        let set = wrapped_set(&room.state, &town.chains).unwrap();
        set.into_iter().filter(|target| target.account == bob).map(|t| t.device).collect()
    };
    assert!(!devices(&room, &town).contains(&phone), "no commit has recorded it yet");
    let before = room.state.clone();
    room.commit(&town, ann, &Change::Rotate).unwrap();
    assert!(devices(&room, &town).contains(&phone));
    let (_, _, commit) = room.commits.last().unwrap();
    let needed = wraps_needed(Some(&before), commit, &town.chains).unwrap();
    assert_eq!(needed, wrapped_set(&room.state, &town.chains).unwrap());
    town.revoke(bob, phone);
    room.commit(&town, ann, &Change::Rotate).unwrap();
    assert!(!devices(&room, &town).contains(&phone));
    let nobody: BTreeMap<AccountId, UserChain> = BTreeMap::new();
    assert!(matches!(wrapped_set(&room.state, &nobody), Err(CommitFault::NeedChain { .. })));
}

#[test]
fn the_box_with_the_previous_secret_is_only_where_all_may_read_back() {
    let shared = Policy { history: HistoryRule::All, ..Policy::GROUP };
    let boxed = |fields: &mut CommitFields| fields.prev_box = Some(vec![1; 64]);
    let try_policy = |policy: Policy, change: Change| {
        let Cast { town, mut room, ann, .. } = cast(policy);
        room.commit_with(&town, ann, &change, boxed).map(|_| ())
    };
    assert_eq!(try_policy(shared, Change::Rotate), Ok(()));
    for (policy, change) in [
        (Policy::GROUP, Change::Rotate),
        (Policy { retention_days: 7, ..shared }, Change::Rotate),
        (Policy::GROUP, Change::SetPolicy(shared, vec![])),
        (shared, Change::SetPolicy(Policy::GROUP, vec![])),
        (shared, Change::SetPolicy(Policy { agent_scope: AgentScope::All, ..shared }, vec![])),
    ] {
        assert_eq!(try_policy(policy, change.clone()), Err(CommitFault::PrevBox), "{change:?}");
    }
    let Cast { town, mut room, ann, .. } = cast(shared);
    let short = room.commit_with(&town, ann, &Change::Rotate, |f| f.prev_box = Some(vec![1; 63]));
    assert_eq!(short, Err(CommitFault::PrevBox));
}

#[test]
fn a_name_by_a_lower_role_is_noted_and_every_epoch_has_one() {
    let Cast { town, mut room, ann, eve, .. } = cast(Policy::GROUP);
    let nameless = room.commit_with(&town, ann, &Change::Rotate, |f| f.settings_box = None);
    assert_eq!(nameless, Err(CommitFault::SettingsBox));
    let applied = room.commit(&town, eve, &Change::Rotate).unwrap();
    assert_eq!(applied.notes, [Note::SettingsByLowerRole(eve)]);
    let applied = room.commit(&town, ann, &Change::Rotate).unwrap();
    assert!(applied.notes.is_empty());
    let rights: Vec<bool> = room.state.settings().iter().map(|s| s.may_rename).collect();
    assert_eq!(rights, [true, false, true]);
}

#[test]
fn the_mode_of_a_room_never_changes() {
    let Cast { town, mut room, ann, .. } = cast(Policy::GROUP);
    let open = Change::SetPolicy(Policy { mode: Policy::OPEN.mode, ..Policy::GROUP }, vec![]);
    let refused = room.commit_with(&town, ann, &open, |fields| fields.suite = 1);
    assert_eq!(refused, Err(CommitFault::ModeChange));
}

#[test]
fn a_direct_room_is_two_people_for_ever() {
    let mut town = Town::new();
    let [ann, bob, zoe] = ["ann", "bob", "zoe"].map(|handle| town.person(handle));
    let ai = town.agent("mathia");
    let found = |others: &[(AccountId, Role)]| {
        Room::found(&town, RoomKind::Direct, Policy::DIRECT, others, ann)
    };
    assert!(matches!(found(&[]), Err(CommitFault::Founding(_))));
    let three = [(bob, Role::Member), (zoe, Role::Member)];
    assert!(matches!(found(&three), Err(CommitFault::Founding(_))));
    assert!(matches!(found(&[(ai, Role::Agent)]), Err(CommitFault::AgentRole(_))));
    let mut room = found(&[(bob, Role::Member)]).ok().unwrap();
    assert_eq!(room.state.direct_pair(), Some((ann.min(bob), ann.max(bob))));
    for change in [
        Change::Leave,
        Change::Add(vec![(zoe, Role::Member)]),
        Change::Remove(vec![bob]),
        Change::SetRole(vec![(bob, Role::Member)]),
        Change::SetPolicy(Policy { history: HistoryRule::SinceJoin, ..Policy::DIRECT }, vec![]),
    ] {
        assert!(not_allowed(&room.commit(&town, ann, &change)), "{change:?}");
    }
    let keep_a_week = Policy { retention_days: 7, ..Policy::DIRECT };
    room.commit(&town, bob, &Change::Rotate).unwrap();
    room.commit(&town, bob, &Change::SetPolicy(keep_a_week, vec![])).unwrap();
}

#[test]
fn anyone_joins_an_open_room_but_who_was_removed_waits_for_an_admin() {
    let Cast { town, mut room, ann, eve, zoe, .. } = cast(Policy::OPEN);
    let join = |role| Change::Add(vec![(zoe, role)]);
    assert!(room.commit(&town, zoe, &join(Role::Owner)).is_err());
    let applied = room.commit(&town, zoe, &join(Role::Member)).unwrap();
    assert_eq!(applied.notes, [Note::JoinedAlone(zoe)]);
    assert_eq!(room.state.epoch().epoch, Epoch(0), "an open room has no keys");
    assert!(wrapped_set(&room.state, &town.chains).unwrap().is_empty());
    room.commit(&town, zoe, &Change::Leave).unwrap();
    room.commit(&town, zoe, &join(Role::Member)).unwrap();
    room.commit(&town, ann, &Change::Remove(vec![zoe])).unwrap();
    let again = room.commit(&town, zoe, &join(Role::Member));
    assert_eq!(again, Err(CommitFault::WasRemoved(zoe)));
    room.commit(&town, ann, &join(Role::Member)).unwrap();
    room.commit(&town, zoe, &Change::Leave).unwrap();
    room.commit(&town, zoe, &join(Role::Member)).unwrap();
    let renamed =
        room.commit_with(&town, ann, &Change::Rotate, |f| f.settings_box = Some(vec![1, 2]));
    assert!(renamed.is_ok_and(|applied| !applied.starts_epoch));
    let keyed = room.commit_with(&town, eve, &Change::Rotate, |f| f.kc = Hash([1; 32]));
    assert_eq!(keyed, Err(CommitFault::KeyCommit));
}

#[test]
fn an_agent_reads_only_as_far_as_the_policy_says_and_commits_nothing() {
    let Cast { mut town, mut room, ann, bob, .. } = cast(Policy::GROUP);
    let ai = town.agent("mathia");
    let scope = |agent_scope| Policy { agent_scope, ..Policy::GROUP };
    assert_eq!(room.commit(&town, ann, &Change::AddAgent(ai)), Err(CommitFault::Flags(ai)));
    let mention = Change::SetPolicy(scope(AgentScope::Mention), vec![]);
    assert!(room.commit(&town, ann, &mention).unwrap().starts_epoch);
    assert!(!room.commit(&town, bob, &Change::AddAgent(ai)).unwrap().starts_epoch);
    let reads = |room: &Room| {
        let set = wrapped_set(&room.state, &town.chains).unwrap();
        set.iter().any(|target| target.account == ai)
    };
    assert!(!reads(&room), "it can write and be asked, but holds no secret");
    for change in [Change::Rotate, Change::Leave] {
        assert!(not_allowed(&room.commit(&town, ai, &change)));
    }
    let all = Change::SetPolicy(scope(AgentScope::All), vec![]);
    assert!(room.commit(&town, ann, &all).unwrap().starts_epoch);
    assert!(reads(&room));
    let secretly = room.clone().commit(&town, ann, &Change::RemoveAgent(ai));
    assert_eq!(secretly, Err(CommitFault::Shape(CommitKind::SetAgent)), "it holds the secret");
    let off = Change::SetPolicy(scope(AgentScope::None), vec![]);
    let applied = room.commit(&town, ann, &off).unwrap();
    assert_eq!((applied.starts_epoch, applied.gone), (true, vec![ai]));
}

#[test]
fn keys_are_answered_for_present_members_and_their_own_time() {
    let Cast { mut town, mut room, ann, zoe, .. } = cast(Policy::GROUP);
    room.commit(&town, ann, &Change::Add(vec![(zoe, Role::Member)])).unwrap();
    let may = |town: &Town, room: &Room, account, device, epoch| {
        may_have_key(&room.state, &town.chains[&account], device, Epoch(epoch))
    };
    let zoes = town.device(zoe);
    assert_eq!([0, 1, 2, 3].map(|e| may(&town, &room, zoe, zoes, e)), [false, false, true, false]);
    let shared = Policy { history: HistoryRule::All, ..Policy::GROUP };
    let mut open_past = room.clone();
    open_past.commit(&town, ann, &Change::SetPolicy(shared, vec![])).unwrap();
    assert!([1, 2, 3].iter().all(|epoch| may(&town, &open_past, zoe, zoes, *epoch)));
    room.commit(&town, ann, &Change::Remove(vec![zoe])).unwrap();
    assert!(!may(&town, &room, zoe, zoes, 2), "gone is gone");
    let phone = town.add_device(ann);
    assert!(may(&town, &room, ann, phone, 1), "a new device of a present member");
    town.revoke(ann, phone);
    assert!(!may(&town, &room, ann, phone, 1));
}

#[test]
fn turning_an_agent_on_never_opens_the_past() {
    let shared = Policy { history: HistoryRule::All, ..Policy::GROUP };
    let Cast { mut town, mut room, ann, .. } = cast(shared);
    let ai = town.agent("mathia");
    let scope = |agent_scope| Policy { agent_scope, ..shared };
    let policy = Change::SetPolicy(scope(AgentScope::Mention), vec![ai]);
    room.commit(&town, ann, &policy).unwrap();
    let device = town.device(ai);
    let may = |room: &Room| {
        [1, 2, 3].map(|e| may_have_key(&room.state, &town.chains[&ai], device, Epoch(e)))
    };
    assert_eq!(may(&room), [false, false, false]);
    let to_key = agents_to_key(&room.state, &town.chains).unwrap();
    assert_eq!(to_key.iter().map(|target| target.device).collect::<Vec<_>>(), [device]);
    room.commit(&town, ann, &Change::SetPolicy(scope(AgentScope::All), vec![])).unwrap();
    assert_eq!(may(&room), [false, false, true]);
    assert!(agents_to_key(&room.state, &town.chains).unwrap().is_empty());
}

#[test]
fn an_assistant_room_begins_with_an_agent_that_reads_everything() {
    let mut town = Town::new();
    let (ann, bob) = (town.person("ann"), town.person("bob"));
    let ai = town.agent("mathia");
    let found =
        |policy, other| Room::found(&town, RoomKind::Assistant, policy, &[other], ann).map(|_| ());
    assert_eq!(found(Policy::ASSISTANT, (ai, Role::Agent)), Ok(()));
    let fault = Err(CommitFault::Founding(RoomKind::Assistant));
    assert_eq!(found(Policy::ASSISTANT, (bob, Role::Member)), fault);
    let mention = Policy { agent_scope: AgentScope::Mention, ..Policy::ASSISTANT };
    assert_eq!(found(mention, (ai, Role::Agent)), fault);
}

#[test]
fn a_create_says_everything_and_says_it_once() {
    let Cast { town, room, ann, bob, .. } = cast(Policy::GROUP);
    let twisted = |twist: &dyn Fn(&mut CommitFields)| {
        let others = [(bob, Role::Member)];
        let (kind, nonce) = (RoomKind::Group, Hash([1; 32]));
        let committer = town.committer(ann);
        let proposal =
            propose_create(kind, Policy::GROUP, &others, nonce, committer, &town.chains).unwrap();
        let mut fields = proposal.fields;
        (fields.kc, fields.settings_box) = (Hash([1; 32]), Some(vec![1; 50]));
        twist(&mut fields);
        Room::found_with(&town, fields).map(|_| ())
    };
    assert_eq!(twisted(&|_| {}), Ok(()));
    let shape = Err(CommitFault::Shape(CommitKind::Create));
    assert_eq!(twisted(&|f| f.commit_no = 2), Err(CommitFault::CommitNo));
    assert_eq!(twisted(&|f| f.epoch = Epoch(2)), Err(CommitFault::EpochStep { found: 2 }));
    assert_eq!(twisted(&|f| f.kc = Hash::ZERO), Err(CommitFault::KeyCommit));
    assert_eq!(twisted(&|f| f.settings_box = None), Err(CommitFault::SettingsBox));
    assert_eq!(twisted(&|f| f.prev_box = Some(vec![1; 64])), Err(CommitFault::PrevBox));
    assert_eq!(twisted(&|f| f.policy = None), Err(CommitFault::CreateOnce));
    assert_eq!(twisted(&|f| f.seen_seq = Seq(1)), shape);
    assert_eq!(twisted(&|f| f.removed.push(bob)), shape);
    let again = room.commits[0].2.clone();
    let fault = validate_commit(&room.state, &again, &town.chains, Context::Live);
    assert_eq!(fault, Err(CommitFault::CreateOnce));
}

#[test]
fn a_false_or_future_sight_of_the_log_is_noticed() {
    let Cast { room, .. } = cast(Policy::GROUP);
    let known = |seq: Seq| room.hash_at(seq);
    let head = room.log.seq();
    assert_eq!(check_seen(head, room.log.hash(), head, &known), Ok(()));
    assert_eq!(check_seen(Seq(0), room.state.room().as_hash(), head, &known), Ok(()));
    assert_eq!(check_seen(head, Hash([1; 32]), head, &known), Err(BadSeen(head)));
    let ahead = head.next();
    assert_eq!(check_seen(ahead, room.log.hash(), head, &known), Err(BadSeen(ahead)));
}
