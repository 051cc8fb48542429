//! What follows the logs around: marks, wraps, requests for keys, grants.

use mathia_protocol::id::{AccountId, DeviceId, Epoch, RoomNumber, Seq};
use mathia_server::store::{GrantRow, KeyAskRow, MarkRow, Store, StoreError, WrapRow};

use super::cast::stories;
use super::cast::{ANN, ANNS, BOB, BOBS, change, fail, room};

fn wrap(room: RoomNumber, epoch: u32, device: DeviceId, sealed: u8) -> WrapRow {
    WrapRow {
        room,
        epoch: Epoch(epoch),
        account: ANN,
        device,
        hpke_gen: 1,
        sealed: vec![sealed; 80],
    }
}

fn mark(account: AccountId, delivered: u64, read: u64, tick: Option<u8>) -> MarkRow {
    MarkRow {
        account,
        delivered_upto: Seq(delivered),
        read_upto: Seq(read),
        tick: tick.map(|sig| (ANNS, [sig; 64])),
    }
}

stories! {
    fn marks_never_move_backwards(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let reader = store.reader().unwrap();
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&room(1)).unwrap();
            for upto in [5, 3] {
                write.raise_delivered(number, BOB, Seq(upto)).unwrap();
                write.raise_read(number, ANN, Seq(upto), None).unwrap();
            }
            number
        });
        assert_eq!(reader.mark(number, BOB).unwrap(), Some(mark(BOB, 5, 0, None)));
        let both = [mark(ANN, 0, 5, None), mark(BOB, 5, 0, None)];
        assert_eq!(reader.marks(number).unwrap(), both);
        change(&mut *writer, |write| {
            write.raise_delivered(number, ANN, Seq(7)).unwrap();
            write.raise_delivered(number, BOB, Seq(6)).unwrap();
        });
        let both = [mark(ANN, 7, 5, None), mark(BOB, 6, 0, None)];
        assert_eq!(reader.marks(number).unwrap(), both);
        assert_eq!(reader.mark(RoomNumber(9), ANN).unwrap(), None);
    }

    fn a_tick_signs_exactly_the_read_mark(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let reader = store.reader().unwrap();
        let number = change(&mut *writer, |write| write.insert_room(&room(1)).unwrap());
        let steps = [
            (5, None, mark(ANN, 0, 5, None)),
            (5, Some(1), mark(ANN, 0, 5, Some(1))),
            (5, Some(2), mark(ANN, 0, 5, Some(1))),
            (4, Some(3), mark(ANN, 0, 5, Some(1))),
            (6, Some(4), mark(ANN, 0, 6, Some(4))),
            (7, None, mark(ANN, 0, 7, None)),
        ];
        for (upto, tick, after) in steps {
            let tick = tick.map(|sig| (ANNS, [sig; 64]));
            change(&mut *writer, |write| write.raise_read(number, ANN, Seq(upto), tick).unwrap());
            assert_eq!(reader.mark(number, ANN).unwrap(), Some(after));
        }
    }

    fn the_first_wrap_stays_until_it_is_replaced_on_purpose(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let reader = store.reader().unwrap();
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&room(1)).unwrap();
            let rows: Vec<_> = (1..=3).map(|epoch| wrap(number, epoch, ANNS, 1)).collect();
            write.insert_wraps(&rows).unwrap();
            write.insert_wraps(&[wrap(number, 3, ANNS, 2), wrap(number, 4, BOBS, 2)]).unwrap();
            number
        });
        let mine = |from| reader.wraps(number, ANNS, Epoch(from)).unwrap();
        assert_eq!(mine(0).len(), 3);
        assert_eq!(mine(2), [wrap(number, 2, ANNS, 1), wrap(number, 3, ANNS, 1)]);
        let answer = WrapRow { hpke_gen: 2, ..wrap(number, 3, ANNS, 7) };
        change(&mut *writer, |write| write.replace_wrap(&answer).unwrap());
        assert_eq!(mine(3), [answer]);
    }

    fn a_key_request_is_noted_once_and_answered_once(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let reader = store.reader().unwrap();
        let ask = |room, epoch| KeyAskRow { room, account: ANN, device: ANNS, epoch: Epoch(epoch) };
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&room(1)).unwrap();
            for epoch in [2, 1, 2] {
                write.insert_key_ask(&ask(number, epoch)).unwrap();
            }
            number
        });
        assert_eq!(reader.key_asks(number).unwrap(), [ask(number, 1), ask(number, 2)]);
        change(&mut *writer, |write| {
            assert!(write.remove_key_ask(&ask(number, 2)).unwrap());
            assert!(!write.remove_key_ask(&ask(number, 2)).unwrap());
        });
        assert_eq!(reader.key_asks(number).unwrap(), [ask(number, 1)]);
    }

    fn a_newer_grant_replaces_the_one_of_the_same_giver(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let reader = store.reader().unwrap();
        let grant = |room, from, sealed| GrantRow {
            room,
            from,
            device: BOBS,
            hpke_gen: 1,
            sealed: vec![sealed; 200],
        };
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&room(1)).unwrap();
            for (from, sealed) in [(BOB, 1), (ANN, 2), (BOB, 3)] {
                write.insert_grant(&grant(number, from, sealed)).unwrap();
            }
            number
        });
        let both = [grant(number, ANN, 2), grant(number, BOB, 3)];
        assert_eq!(reader.grants(number, BOBS).unwrap(), both);
        assert_eq!(reader.grants(number, ANNS).unwrap(), []);
    }

    fn nothing_hangs_on_a_room_that_does_not_exist(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let nowhere = RoomNumber(9);
        let error = fail(&mut *writer, |write| write.raise_delivered(nowhere, ANN, Seq(1)));
        assert!(matches!(error, StoreError::Broken(_)));
        let error = fail(&mut *writer, |write| write.insert_wraps(&[wrap(nowhere, 1, ANNS, 1)]));
        assert!(matches!(error, StoreError::Broken(_)));
        let error = fail(&mut *writer, |write| write.change_members(nowhere, &[ANN], &[]));
        assert!(matches!(error, StoreError::Broken(_)));
        assert!(matches!(store.reader().unwrap().head(nowhere), Err(StoreError::Broken(_))));
    }
}
