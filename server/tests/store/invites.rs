//! Invites are used, run out, end; people wait for their rooms.

use mathia_protocol::id::{AccountId, Hash, RoomId, TimeMs};
use mathia_server::store::{InviteRow, JoinRow, Store, StoreError};

use super::cast::stories;
use super::cast::{ANN, BOB, change, fail};

fn invite(token: u8, maker: Option<AccountId>, uses_left: u32, expires: u64) -> InviteRow {
    InviteRow {
        token_hash: Hash([token; 32]),
        sealed_token: vec![token; 48],
        maker,
        uses_left,
        names_left: 2,
        created: TimeMs(1),
        expires: TimeMs(expires),
        rooms: vec![RoomId([7; 32]), RoomId([8; 32])],
    }
}

fn join(token: u8, account: AccountId) -> JoinRow {
    JoinRow {
        token_hash: Hash([token; 32]),
        maker: ANN,
        account,
        proof: [token; 32],
        rooms: vec![RoomId([7; 32])],
        sealed_token: vec![token; 48],
    }
}

stories! {
    fn an_invite_is_used_until_it_runs_out(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let row = invite(1, Some(ANN), 2, 100);
        change(&mut *writer, |write| write.insert_invite(&row).unwrap());
        for uses_left in [1, 0] {
            let after = InviteRow { uses_left, ..row.clone() };
            let used = change(&mut *writer, |write| {
                write.use_invite(row.token_hash, TimeMs(50)).unwrap()
            });
            assert_eq!(used, Some(after.clone()));
            assert_eq!(store.reader().unwrap().invite(row.token_hash).unwrap(), Some(after));
        }
        change(&mut *writer, |write| {
            assert_eq!(write.use_invite(row.token_hash, TimeMs(50)).unwrap(), None);
        });
    }

    fn an_invite_ends_at_its_hour(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let row = invite(1, None, 5, 100);
        change(&mut *writer, |write| {
            write.insert_invite(&row).unwrap();
            assert!(write.use_invite(row.token_hash, TimeMs(99)).unwrap().is_some());
            assert!(write.use_invite(row.token_hash, TimeMs(100)).unwrap().is_none());
            assert!(write.use_invite(Hash([2; 32]), TimeMs(0)).unwrap().is_none());
        });
    }

    fn an_invite_tells_about_few_taken_names(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let row = invite(1, None, 5, 100);
        change(&mut *writer, |write| {
            write.insert_invite(&row).unwrap();
            let told = [(); 3].map(|()| write.use_invite_name(row.token_hash).unwrap());
            assert_eq!(told, [true, true, false]);
            assert!(!write.use_invite_name(Hash([2; 32])).unwrap());
        });
    }

    fn invites_are_listed_by_expiry_and_revoked(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let (late, soon) = (invite(1, Some(ANN), 1, 300), invite(2, Some(ANN), 1, 200));
        let servers = InviteRow { rooms: Vec::new(), ..invite(3, None, 1, 250) };
        change(&mut *writer, |write| {
            for row in [&late, &soon, &servers] {
                write.insert_invite(row).unwrap();
            }
        });
        let error = fail(&mut *writer, |write| write.insert_invite(&late));
        assert!(matches!(error, StoreError::Exists));
        let reader = store.reader().unwrap();
        assert_eq!(reader.invites(Some(ANN)).unwrap(), [soon.clone(), late.clone()]);
        assert_eq!(reader.invites(Some(BOB)).unwrap(), []);
        assert_eq!(reader.invites(None).unwrap(), [soon.clone(), servers, late]);
        change(&mut *writer, |write| {
            assert!(write.remove_invite(soon.token_hash).unwrap());
            assert!(!write.remove_invite(soon.token_hash).unwrap());
        });
        assert_eq!(reader.invite(soon.token_hash).unwrap(), None);
    }

    fn newcomers_wait_until_they_are_dealt_with(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let eve = AccountId([3; 32]);
        change(&mut *writer, |write| {
            for row in [join(2, BOB), join(1, eve), join(1, BOB), join(1, BOB)] {
                write.insert_join(&row).unwrap();
            }
        });
        let reader = store.reader().unwrap();
        assert_eq!(reader.joins(ANN).unwrap(), [join(1, BOB), join(1, eve), join(2, BOB)]);
        assert_eq!(reader.joins(BOB).unwrap(), []);
        change(&mut *writer, |write| write.remove_join(Hash([1; 32]), BOB).unwrap());
        assert_eq!(reader.joins(ANN).unwrap(), [join(1, eve), join(2, BOB)]);
    }
}
