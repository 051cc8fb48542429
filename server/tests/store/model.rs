//! Random batches against every store at once: they must answer alike, always.

use mathia_protocol::id::{
    AccountId, Counter, DeviceId, Epoch, Hash, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId,
};
use mathia_server::store::{
    EntryRange, EntryRow, GrantRow, InviteRow, JoinRow, KeyAskRow, LinkRow, Read, RoomKeyRow,
    RoomRow, ScheduleRow, Store, StoreError, WrapRow, Write,
};
use mathia_testkit::memory_store::MemoryStore;
use proptest::collection::vec;
use proptest::prelude::*;

use super::cast::{REALM, account, byte, message, room, sqlite};

/// One change with small numbers, so that clashes are common.
#[derive(Debug, Clone)]
enum Change {
    Account { id: u8, handle: u8 },
    LastSeen { id: u8, time: u64 },
    RemoveAccount { id: u8 },
    Link { id: u8, seq: u32 },
    Room { id: u8, pair: Option<(u8, u8)>, name: Option<u8> },
    Rename { number: u32, name: u8 },
    Retention { room: u32, days: u32 },
    Expire { room: u32, before: u64, n_rows_max: u32 },
    RoomKey { room: u32, generation: u32, from: u64 },
    Entry { room: u32, seq: u64, tag: u8, device: u8, ctr: u64, n_bytes: usize },
    Members { room: u32, added: Vec<u8>, removed: Vec<u8> },
    Delivered { room: u32, id: u8, upto: u64 },
    ReadUpto { room: u32, id: u8, upto: u64, sig: Option<u8> },
    Wraps { room: u32, wraps: Vec<(u32, u8, u8)> },
    ReplaceWrap { room: u32, epoch: u32, device: u8 },
    Ask { room: u32, id: u8, epoch: u32 },
    Answered { room: u32, id: u8, epoch: u32 },
    Grant { room: u32, from: u8, device: u8, sealed: u8 },
    Invite { token: u8, maker: Option<u8>, uses: u32, expires: u64 },
    UseInvite { token: u8, now: u64 },
    UseName { token: u8 },
    RemoveInvite { token: u8 },
    Join { token: u8, id: u8 },
    RemoveJoin { token: u8, id: u8 },
    Schedule { room: u32, device: u8, id: u64, due: u64 },
    Unschedule { room: u32, device: u8, id: u64 },
    Setting { name: u8, value: u8 },
}

fn who(id: u8) -> AccountId {
    AccountId([id; 32])
}

fn device(id: u8) -> DeviceId {
    DeviceId([id; 16])
}

fn changes() -> impl Strategy<Value = Change> {
    let (id, room, small) = (0..4u8, 1..4u32, 0..6u64);
    let wraps = vec((0..3u32, 0..3u8, any::<u8>()), 0..4);
    let scheduled_id = prop_oneof![0..4u64, Just(u64::MAX)];
    let people = prop_oneof![
        (0..4u8, 0..4u8).prop_map(|(id, handle)| Change::Account { id, handle }),
        (id.clone(), small.clone()).prop_map(|(id, time)| Change::LastSeen { id, time }),
        id.clone().prop_map(|id| Change::RemoveAccount { id }),
        (id.clone(), 0..3u32).prop_map(|(id, seq)| Change::Link { id, seq }),
        (0..6u8, prop::option::of((0..2u8, 2..4u8)), prop::option::of(0..3u8))
            .prop_map(|(id, pair, name)| Change::Room { id, pair, name }),
        (room.clone(), 0..3u8).prop_map(|(number, name)| Change::Rename { number, name }),
        (room.clone(), 0..2u32).prop_map(|(room, days)| Change::Retention { room, days }),
        (room.clone(), 1_000..1_050u64, 0..9u32)
            .prop_map(|(room, before, n_rows_max)| Change::Expire { room, before, n_rows_max }),
        (room.clone(), 1..4u32, small.clone())
            .prop_map(|(room, generation, from)| Change::RoomKey { room, generation, from }),
        (room.clone(), vec(0..4u8, 0..3), vec(0..4u8, 0..3))
            .prop_map(|(room, added, removed)| Change::Members { room, added, removed }),
        (0..3u8, any::<u8>()).prop_map(|(name, value)| Change::Setting { name, value }),
    ];
    let logs = (room.clone(), 1..40u64, 1..4u8, 0..3u8, 1..30u64, 0..90usize).prop_map(
        |(room, seq, tag, device, ctr, n_bytes)| Change::Entry {
            room,
            seq,
            tag,
            device,
            ctr,
            n_bytes,
        },
    );
    let marks =
        prop_oneof![
            (room.clone(), id.clone(), small.clone())
                .prop_map(|(room, id, upto)| Change::Delivered { room, id, upto }),
            (room.clone(), id.clone(), small.clone(), prop::option::of(any::<u8>()))
                .prop_map(|(room, id, upto, sig)| Change::ReadUpto { room, id, upto, sig }),
        ];
    let keys = prop_oneof![
        (room.clone(), wraps).prop_map(|(room, wraps)| Change::Wraps { room, wraps }),
        (room.clone(), 0..3u32, 0..3u8).prop_map(|(room, epoch, device)| Change::ReplaceWrap {
            room,
            epoch,
            device
        }),
        (room.clone(), id.clone(), 0..3u32).prop_map(|(room, id, epoch)| Change::Ask {
            room,
            id,
            epoch
        }),
        (room.clone(), id.clone(), 0..3u32).prop_map(|(room, id, epoch)| Change::Answered {
            room,
            id,
            epoch
        }),
        (room.clone(), id.clone(), 0..3u8, any::<u8>())
            .prop_map(|(room, from, device, sealed)| Change::Grant { room, from, device, sealed }),
    ];
    let invites = prop_oneof![
        (0..3u8, prop::option::of(0..2u8), 0..3u32, small.clone()).prop_map(
            |(token, maker, uses, expires)| Change::Invite { token, maker, uses, expires }
        ),
        (0..3u8, small.clone()).prop_map(|(token, now)| Change::UseInvite { token, now }),
        (0..3u8).prop_map(|token| Change::UseName { token }),
        (0..3u8).prop_map(|token| Change::RemoveInvite { token }),
        (0..3u8, id.clone()).prop_map(|(token, id)| Change::Join { token, id }),
        (0..3u8, id).prop_map(|(token, id)| Change::RemoveJoin { token, id }),
    ];
    let schedules = prop_oneof![
        (room.clone(), 0..3u8, scheduled_id.clone(), small)
            .prop_map(|(room, device, id, due)| Change::Schedule { room, device, id, due }),
        (room, 0..3u8, scheduled_id).prop_map(|(room, device, id)| Change::Unschedule {
            room,
            device,
            id
        }),
    ];
    prop_oneof![3 => people, 4 => logs, 2 => marks, 2 => keys, 2 => invites, 2 => schedules]
}

/// Makes the change and says what it returned, as text that can be compared.
fn apply(write: &mut dyn Write, change: &Change) -> Result<String, StoreError> {
    let text = match *change {
        Change::Account { id, handle } => {
            let row = account(who(id), &format!("name{handle}"));
            let genesis = LinkRow { seq: 0, hash: Hash([id; 32]), link: vec![id] };
            format!("{:?}", write.insert_account(&row, &genesis)?)
        }
        Change::LastSeen { id, time } => {
            format!("{:?}", write.set_last_seen(who(id), TimeMs(time))?)
        }
        Change::RemoveAccount { id } => format!("{:?}", write.remove_account(who(id))?),
        Change::Link { id, seq } => {
            let link = LinkRow { seq, hash: Hash([byte(seq.into()); 32]), link: vec![id] };
            format!("{:?}", write.insert_link(who(id), &link)?)
        }
        Change::Room { id, pair, name } => {
            let row = RoomRow {
                mode: u8::from(name.is_some()),
                pair: pair.map(|(low, high)| (who(low), who(high))),
                name_tag: name.map(|name| Hash([name; 32])),
                ..room(id)
            };
            format!("{:?}", write.insert_room(&row)?)
        }
        Change::Rename { number, name } => {
            let row = RoomRow {
                number: RoomNumber(number),
                name_tag: Some(Hash([name; 32])),
                sealed_name: Some(vec![name]),
                ..room(0)
            };
            format!("{:?}", write.update_room(&row)?)
        }
        Change::Retention { room, days } => {
            format!("{:?}", write.set_retention(RoomNumber(room), days)?)
        }
        Change::Expire { room, before, n_rows_max } => {
            format!("{:?}", write.expire(RoomNumber(room), TimeMs(before), n_rows_max)?)
        }
        Change::RoomKey { room, generation, from } => {
            let (room, from, made) = (RoomNumber(room), Seq(from), TimeMs(from));
            let sealed = vec![byte(from.0)];
            let row = RoomKeyRow { room, generation, from, made, sealed };
            format!("{:?}", write.insert_room_key(&row)?)
        }
        Change::Entry { room, seq, tag, device: id, ctr, n_bytes } => {
            let room = RoomNumber(room);
            // Appended where the log ends, or where it surely clashes.
            let next = write.head(room)?.seq.next();
            let seq = if seq % 8 == 0 { Seq(seq) } else { next };
            let row = EntryRow {
                tag,
                ctr: Counter(ctr),
                body: (n_bytes % 7 != 0).then(|| vec![tag; n_bytes]),
                ..message(room, seq.0.min(next.0), device(id), ctr)
            };
            format!("{:?}", write.insert_entry(&row)?)
        }
        Change::Members { room, ref added, ref removed } => {
            let ids = |ids: &[u8]| ids.iter().copied().map(who).collect::<Vec<_>>();
            format!("{:?}", write.change_members(RoomNumber(room), &ids(added), &ids(removed))?)
        }
        Change::Setting { name, value } => {
            format!("{:?}", write.set_setting(&format!("setting{name}"), &[value])?)
        }
        _ => apply_beside(write, change)?,
    };
    Ok(text)
}

/// The changes beside people and logs.
fn apply_beside(write: &mut dyn Write, change: &Change) -> Result<String, StoreError> {
    let wrap = |room, epoch, id, sealed| WrapRow {
        room: RoomNumber(room),
        epoch: Epoch(epoch),
        account: who(id),
        device: device(id),
        hpke_gen: 1,
        sealed: vec![sealed],
    };
    let ask = |room, id, epoch| KeyAskRow {
        room: RoomNumber(room),
        account: who(id),
        device: device(id),
        epoch: Epoch(epoch),
    };
    let text = match *change {
        Change::Delivered { room, id, upto } => {
            format!("{:?}", write.raise_delivered(RoomNumber(room), who(id), Seq(upto))?)
        }
        Change::ReadUpto { room, id, upto, sig } => {
            let tick = sig.map(|sig| (device(id), [sig; 64]));
            format!("{:?}", write.raise_read(RoomNumber(room), who(id), Seq(upto), tick)?)
        }
        Change::Wraps { room, ref wraps } => {
            let rows: Vec<_> =
                wraps.iter().map(|(epoch, id, sealed)| wrap(room, *epoch, *id, *sealed)).collect();
            format!("{:?}", write.insert_wraps(&rows)?)
        }
        Change::ReplaceWrap { room, epoch, device } => {
            format!("{:?}", write.replace_wrap(&wrap(room, epoch, device, 99))?)
        }
        Change::Ask { room, id, epoch } => {
            format!("{:?}", write.insert_key_ask(&ask(room, id, epoch))?)
        }
        Change::Answered { room, id, epoch } => {
            format!("{:?}", write.remove_key_ask(&ask(room, id, epoch))?)
        }
        Change::Grant { room, from, device: id, sealed } => {
            let row = GrantRow {
                room: RoomNumber(room),
                from: who(from),
                device: device(id),
                hpke_gen: 1,
                sealed: vec![sealed],
            };
            format!("{:?}", write.insert_grant(&row)?)
        }
        Change::Invite { token, maker, uses, expires } => {
            let row = InviteRow {
                token_hash: Hash([token; 32]),
                sealed_token: vec![token],
                maker: maker.map(who),
                uses_left: uses,
                names_left: 1,
                created: TimeMs(0),
                expires: TimeMs(expires),
                rooms: vec![RoomId([token; 32]); token.into()],
            };
            format!("{:?}", write.insert_invite(&row)?)
        }
        Change::UseInvite { token, now } => {
            format!("{:?}", write.use_invite(Hash([token; 32]), TimeMs(now))?)
        }
        Change::UseName { token } => format!("{:?}", write.use_invite_name(Hash([token; 32]))?),
        Change::RemoveInvite { token } => {
            format!("{:?}", write.remove_invite(Hash([token; 32]))?)
        }
        Change::Join { token, id } => {
            let row = JoinRow {
                token_hash: Hash([token; 32]),
                maker: who(0),
                account: who(id),
                proof: [id; 32],
                rooms: Vec::new(),
                sealed_token: vec![token],
            };
            format!("{:?}", write.insert_join(&row)?)
        }
        Change::RemoveJoin { token, id } => {
            format!("{:?}", write.remove_join(Hash([token; 32]), who(id))?)
        }
        Change::Schedule { room, device: by, id, due } => {
            let row = ScheduleRow {
                room: RoomNumber(room),
                account: who(by),
                device: device(by),
                id,
                due: TimeMs(due),
                body: vec![by],
            };
            format!("{:?}", write.insert_schedule(&row)?)
        }
        Change::Unschedule { room, device: by, id } => {
            format!("{:?}", write.remove_schedule(RoomNumber(room), device(by), id)?)
        }
        ref other => unreachable!("{other:?} is applied above"),
    };
    Ok(text)
}

/// Runs a batch and says how it went: every answer, or the kind of failure that undid it.
fn outcome(store: &dyn Store, batch: &[Change]) -> Vec<String> {
    let mut answers = Vec::new();
    let mut writer = store.writer().expect("there is one writer at a time");
    let done = writer.batch(&mut |write| {
        for change in batch {
            answers.push(apply(write, change)?);
        }
        Ok(())
    });
    answers.push(match done {
        Ok(()) => "committed".to_owned(),
        Err(StoreError::Broken(_)) => "broken".to_owned(),
        Err(error) => error.to_string(),
    });
    answers
}

/// Everything that can be asked about the small world of [`Change`], as text.
fn everything(read: &dyn Read) -> Result<Vec<String>, StoreError> {
    let mut all = vec![
        format!("{:?}", read.realm()?),
        format!("{:?}", read.accounts()?),
        format!("{:?}", read.open_rooms(WorkspaceId::MAIN, Some(RoomId([1; 32])), 3)?),
        format!("{:?}", read.invites(None)?),
        format!("{:?}", read.due(TimeMs(3), 3)?),
        format!("{:?}", read.next_due()?),
        format!("{:?}", read.forgetful_rooms(RoomNumber(1), 2)?),
        format!("{:?}", read.counts()?),
    ];
    for id in 0..4 {
        all.push(format!("{:?}", read.account(who(id))?));
        all.push(format!("{:?}", read.account_by_handle(&format!("name{id}"))?));
        all.push(format!("{:?}", read.links(who(id), 1)?));
        all.push(format!("{:?}", read.chain_head(who(id))?));
        all.push(format!("{:?}", read.rooms_of(who(id))?));
        all.push(format!("{:?}", read.invites(Some(who(id)))?));
        all.push(format!("{:?}", read.invite(Hash([id; 32]))?));
        all.push(format!("{:?}", read.joins(who(id))?));
        all.push(format!("{:?}", read.schedules(who(id))?));
        all.push(format!("{:?}", read.room_of_pair((who(0), who(id)))?));
        all.push(format!("{:?}", read.room_by_name_tag(WorkspaceId::MAIN, Hash([id; 32]))?));
        all.push(format!("{:?}", read.room(RoomId([id; 32]))?));
        all.push(format!("{:?}", read.setting(&format!("setting{id}"))?));
    }
    for number in (1..4).map(RoomNumber) {
        let range = EntryRange {
            room: number,
            from: Seq(2),
            to: Seq(20),
            n_rows_max: 10,
            n_bytes_max: 150,
        };
        all.push(format!("{:?}", read.room_by_number(number)?));
        all.push(format!("{:?}", read.members(number)?));
        all.push(format!("{:?}", read.room_keys(number)?));
        all.push(format!("{:?}", read.head(number).ok()));
        all.push(format!("{:?}", read.entries(range)?));
        all.push(format!("{:?}", read.commits(number, Seq(2), 3)?));
        all.push(format!("{:?}", read.marks(number)?));
        all.push(format!("{:?}", read.key_asks(number)?));
        for seq in 0..4 {
            all.push(format!("{:?}", read.position(number, Seq(seq))?));
        }
        for id in 0..3 {
            all.push(format!("{:?}", read.lane(number, device(id))?));
            all.push(format!("{:?}", read.mark(number, who(id))?));
            all.push(format!("{:?}", read.is_member(number, who(id))?));
            all.push(format!("{:?}", read.wraps(number, device(id), Epoch(1))?));
            all.push(format!("{:?}", read.grants(number, device(id))?));
            for used in [0, 1, u64::MAX] {
                all.push(format!("{:?}", read.scheduled_used(number, device(id), used)?));
            }
        }
    }
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn every_store_answers_as_the_reference_does(batches in vec(vec(changes(), 1..8), 1..24)) {
        let reference = MemoryStore::new(REALM);
        let (_home, sqlite) = sqlite();
        for id in 0..3 {
            let batch = [Change::Room { id, pair: None, name: None }];
            prop_assert_eq!(outcome(&reference, &batch), outcome(&sqlite, &batch));
        }
        for batch in &batches {
            prop_assert_eq!(outcome(&reference, batch), outcome(&sqlite, batch));
        }
        let of = |store: &dyn Store| everything(&*store.reader().unwrap()).unwrap();
        prop_assert_eq!(of(&reference), of(&sqlite));
    }
}
