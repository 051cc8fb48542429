//! Accounts and their chains, rooms and who is in them.

use mathia_protocol::id::{
    AccountId, Hash, InviteToken, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId,
};
use mathia_server::store::{AccountRow, RoomKeyRow, RoomRow, Store, StoreError};

use super::cast::stories;
use super::cast::{ANN, BOB, account, change, fail, link, room};

const EVE: AccountId = AccountId([3; 32]);

fn open_room(id: u8, name: u8) -> RoomRow {
    RoomRow {
        mode: 1,
        name_tag: Some(Hash([name; 32])),
        sealed_name: Some(vec![name; 50]),
        ..room(id)
    }
}

stories! {
    fn an_account_is_found_by_identifier_and_by_handle(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let ann = AccountRow {
            kind: 1,
            created: TimeMs(3),
            token: Some(InviteToken([4; 16])),
            ..account(ANN, "zoe")
        };
        change(&mut *writer, |write| {
            write.insert_account(&ann, &link(0)).unwrap();
            write.insert_account(&account(BOB, "bob"), &link(0)).unwrap();
            write.remove_account(BOB).unwrap();
        });
        let bob = AccountRow { is_removed: true, ..account(BOB, "bob") };
        let reader = store.reader().unwrap();
        assert_eq!(reader.account(ANN).unwrap(), Some(ann.clone()));
        assert_eq!(reader.account_by_handle("bob").unwrap(), Some(bob.clone()));
        assert_eq!(reader.account_by_handle("BOB").unwrap(), None);
        assert_eq!(reader.account(EVE).unwrap(), None);
        assert_eq!(reader.accounts().unwrap(), [bob, ann]);
    }

    fn a_handle_and_an_identifier_are_taken_once(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        change(&mut *writer, |write| {
            write.insert_account(&account(ANN, "ann"), &link(0)).unwrap();
        });
        for row in [account(BOB, "ann"), account(ANN, "bob")] {
            let error = fail(&mut *writer, |write| write.insert_account(&row, &link(0)));
            assert!(matches!(error, StoreError::Exists), "{error}");
        }
    }

    fn a_chain_grows_link_by_link(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        change(&mut *writer, |write| {
            write.insert_account(&account(ANN, "ann"), &link(0)).unwrap();
            write.insert_link(ANN, &link(1)).unwrap();
            write.insert_link(ANN, &link(2)).unwrap();
        });
        let error = fail(&mut *writer, |write| write.insert_link(ANN, &link(2)));
        assert!(matches!(error, StoreError::Exists));
        let error = fail(&mut *writer, |write| write.insert_link(BOB, &link(0)));
        assert!(matches!(error, StoreError::Broken(_)));
        let reader = store.reader().unwrap();
        assert_eq!(reader.links(ANN, 1).unwrap(), [link(1), link(2)]);
        assert_eq!(reader.chain_head(ANN).unwrap(), Some((2, link(2).hash)));
        assert_eq!(reader.chain_head(BOB).unwrap(), None);
    }

    fn rooms_are_numbered_from_one_and_found_in_every_way(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let direct = RoomRow { kind: 1, pair: Some((ANN, BOB)), ..room(9) };
        change(&mut *writer, |write| {
            assert_eq!(write.insert_room(&direct).unwrap(), RoomNumber(1));
            assert_eq!(write.insert_room(&open_room(8, 1)).unwrap(), RoomNumber(2));
        });
        let direct = RoomRow { number: RoomNumber(1), ..direct };
        let open = RoomRow { number: RoomNumber(2), ..open_room(8, 1) };
        let reader = store.reader().unwrap();
        assert_eq!(reader.room(RoomId([9; 32])).unwrap(), Some(direct.clone()));
        assert_eq!(reader.room_by_number(RoomNumber(2)).unwrap(), Some(open.clone()));
        assert_eq!(reader.room_of_pair((ANN, BOB)).unwrap(), Some(direct));
        assert_eq!(reader.room_of_pair((BOB, ANN)).unwrap(), None);
        let by_name = |workspace, name| {
            reader.room_by_name_tag(workspace, Hash([name; 32])).unwrap()
        };
        assert_eq!(by_name(WorkspaceId::MAIN, 1), Some(open));
        assert_eq!(by_name(WorkspaceId::MAIN, 2), None);
        assert_eq!(by_name(WorkspaceId([7; 16]), 1), None);
        assert_eq!(reader.room_by_number(RoomNumber(3)).unwrap(), None);
    }

    fn identifier_pair_and_name_are_unique(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        change(&mut *writer, |write| {
            write.insert_room(&RoomRow { pair: Some((ANN, BOB)), ..room(1) }).unwrap();
            write.insert_room(&open_room(2, 1)).unwrap();
            write.insert_room(&room(3)).unwrap();
        });
        for row in [
            room(3),
            RoomRow { pair: Some((ANN, BOB)), ..room(4) },
            open_room(5, 1),
        ] {
            let error = fail(&mut *writer, |write| write.insert_room(&row).map(drop));
            assert!(matches!(error, StoreError::Exists), "{error}");
        }
        change(&mut *writer, |write| {
            let elsewhere = RoomRow { workspace: WorkspaceId([7; 16]), ..open_room(6, 1) };
            write.insert_room(&elsewhere).unwrap();
        });
    }

    fn an_open_room_is_renamed_unless_the_name_is_taken(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let number = change(&mut *writer, |write| {
            write.insert_room(&open_room(1, 1)).unwrap();
            write.insert_room(&open_room(2, 2)).unwrap()
        });
        let renamed = |name| RoomRow { number, kind: 9, ..open_room(2, name) };
        change(&mut *writer, |write| write.update_room(&renamed(3)).unwrap());
        let error = fail(&mut *writer, |write| write.update_room(&renamed(1)));
        assert!(matches!(error, StoreError::Exists));
        let row = store.reader().unwrap().room_by_number(number).unwrap();
        assert_eq!(row, Some(RoomRow { number, ..open_room(2, 3) }), "only the name changes");
    }

    fn an_open_room_keeps_all_its_keys_in_order(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let key = |room, generation| RoomKeyRow {
            room,
            generation,
            from: Seq(100 / u64::from(generation)),
            made: TimeMs(u64::from(generation)),
            sealed: vec![8; 80],
        };
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&open_room(1, 1)).unwrap();
            write.insert_room(&open_room(2, 2)).unwrap();
            for generation in [2, 1, 3] {
                write.insert_room_key(&key(number, generation)).unwrap();
            }
            number
        });
        let error = fail(&mut *writer, |write| write.insert_room_key(&key(number, 2)));
        assert!(matches!(error, StoreError::Exists));
        let error = fail(&mut *writer, |write| write.insert_room_key(&key(RoomNumber(9), 1)));
        assert!(matches!(error, StoreError::Broken(_)), "a key of no room");
        let reader = store.reader().unwrap();
        assert_eq!(reader.room_keys(number).unwrap(), [1, 2, 3].map(|n| key(number, n)));
        assert_eq!(reader.room_keys(RoomNumber(2)).unwrap(), []);
    }

    fn the_lobby_lists_open_rooms_in_pages(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        change(&mut *writer, |write| {
            for id in [5, 3, 4, 1] {
                write.insert_room(&open_room(id, id)).unwrap();
            }
            write.insert_room(&room(2)).unwrap();
            let elsewhere = RoomRow { workspace: WorkspaceId([7; 16]), ..open_room(6, 1) };
            write.insert_room(&elsewhere).unwrap();
        });
        let reader = store.reader().unwrap();
        let page = |after: Option<u8>, n_rows_max| {
            let after = after.map(|id| RoomId([id; 32]));
            let rows = reader.open_rooms(WorkspaceId::MAIN, after, n_rows_max).unwrap();
            rows.iter().map(|row| row.room.0[0]).collect::<Vec<_>>()
        };
        assert_eq!(page(None, 3), [1, 3, 4]);
        assert_eq!(page(Some(4), 3), [5]);
        assert!(page(Some(5), 3).is_empty());
    }

    fn members_come_and_go(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let (here, there) = change(&mut *writer, |write| {
            let here = write.insert_room(&room(1)).unwrap();
            let there = write.insert_room(&room(2)).unwrap();
            write.change_members(here, &[BOB, ANN], &[]).unwrap();
            write.change_members(there, &[ANN], &[]).unwrap();
            (here, there)
        });
        let reader = store.reader().unwrap();
        let rooms_of = |account| {
            let rows = reader.rooms_of(account).unwrap();
            rows.iter().map(|row| row.number).collect::<Vec<_>>()
        };
        assert_eq!(reader.members(here).unwrap(), [ANN, BOB]);
        assert_eq!(rooms_of(ANN), [here, there]);
        change(&mut *writer, |write| {
            write.change_members(here, &[EVE, BOB], &[ANN, EVE]).unwrap();
        });
        assert_eq!(reader.members(here).unwrap(), [BOB, EVE]);
        assert!(reader.is_member(here, EVE).unwrap());
        assert!(!reader.is_member(here, ANN).unwrap());
        assert_eq!(rooms_of(ANN), [there]);
    }
}
