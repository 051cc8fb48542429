//! Entries that wait: due in order, each number once.

use mathia_protocol::id::{AccountId, Counter, RoomNumber, TimeMs};
use mathia_server::store::{EntryRow, ScheduleRow, Store, StoreError, tag};

use super::cast::stories;
use super::cast::{ANN, ANNS, BOB, byte, change, fail, message, room};

fn schedule(room: RoomNumber, account: AccountId, id: u64, due: u64) -> ScheduleRow {
    let body = vec![byte(id); 60];
    ScheduleRow { room, account, device: ANNS, id, due: TimeMs(due), body }
}

stories! {
    fn entries_come_due_in_order(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let reader = store.reader().unwrap();
        assert_eq!(reader.next_due().unwrap(), None);
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&room(1)).unwrap();
            for (account, id, due) in [(ANN, u64::MAX, 30), (BOB, 9, 20), (ANN, 1, 30), (ANN, 2, 10)] {
                write.insert_schedule(&schedule(number, account, id, due)).unwrap();
            }
            number
        });
        let ids = |rows: Vec<ScheduleRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
        let due = |upto, n_rows_max| ids(reader.due(TimeMs(upto), n_rows_max).unwrap());
        assert_eq!(due(30, 9), [2, 9, u64::MAX, 1], "of two together the earlier made is first");
        assert_eq!(due(29, 9), [2, 9]);
        assert_eq!(due(30, 1), [2]);
        assert!(due(9, 9).is_empty());
        assert_eq!(ids(reader.schedules(ANN).unwrap()), [2, u64::MAX, 1]);
        assert_eq!(reader.due(TimeMs(10), 1).unwrap(), [schedule(number, ANN, 2, 10)]);
        assert_eq!(reader.next_due().unwrap(), Some(TimeMs(10)));
        assert_eq!(reader.counts().unwrap().n_schedules, 4);
        change(&mut *writer, |write| {
            assert!(write.remove_schedule(number, ANNS, 2).unwrap());
            assert!(!write.remove_schedule(number, ANNS, 2).unwrap());
        });
        assert_eq!(reader.next_due().unwrap(), Some(TimeMs(20)));
    }

    fn a_number_is_used_once_while_it_waits_and_afterwards(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&room(1)).unwrap();
            write.insert_schedule(&schedule(number, ANN, 5, 10)).unwrap();
            number
        });
        let again = schedule(number, ANN, 5, 99);
        let error = fail(&mut *writer, |write| write.insert_schedule(&again));
        assert!(matches!(error, StoreError::Exists));
        change(&mut *writer, |write| {
            write.remove_schedule(number, ANNS, 5).unwrap();
            let entry = EntryRow {
                tag: tag::SCHEDULED,
                ctr: Counter(5),
                ..message(number, 1, ANNS, 0)
            };
            write.insert_entry(&entry).unwrap();
        });
        let error = fail(&mut *writer, |write| write.insert_schedule(&again));
        assert!(matches!(error, StoreError::Exists));
    }
}
