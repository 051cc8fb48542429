//! Logs: places, ranges, heads, counters.

use mathia_protocol::id::{Counter, Hash, RoomNumber, Seq, TimeMs};
use mathia_server::store::{EntryRange, EntryRow, HeadRow, RoomRow, Store, StoreError, tag};

use super::cast::stories;
use super::cast::{ANNS, BOBS, change, commit, fail, message, room, whole};

stories! {
    fn an_empty_log_stands_at_the_hash_of_its_room(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let number = change(&mut *writer, |write| write.insert_room(&room(7)).unwrap());
        assert_eq!(number, RoomNumber(1));
        let reader = store.reader().unwrap();
        let start =
            HeadRow { seq: Seq(0), hash: Hash([7; 32]), n_countable: 0, commit_seq: Seq(0) };
        assert_eq!(reader.head(number).unwrap(), start);
        assert_eq!(reader.position(number, Seq(0)).unwrap(), Some((Hash([7; 32]), 0)));
        assert_eq!(reader.position(number, Seq(1)).unwrap(), None);
        assert_eq!(reader.entries(whole(number)).unwrap(), []);
    }

    fn rooms_lie_side_by_side_and_a_range_reads_one_of_them(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let (here, there) = change(&mut *writer, |write| {
            let here = write.insert_room(&room(7)).unwrap();
            let there = write.insert_room(&room(8)).unwrap();
            write.insert_entry(&commit(here, 1)).unwrap();
            for seq in 2..=40 {
                write.insert_entry(&message(here, seq, ANNS, seq)).unwrap();
                write.insert_entry(&message(there, seq - 1, BOBS, seq)).unwrap();
            }
            (here, there)
        });
        let reader = store.reader().unwrap();
        let head = reader.head(here).unwrap();
        assert_eq!((head.seq, head.n_countable, head.commit_seq), (Seq(40), 40, Seq(1)));
        assert_eq!(head.hash, message(here, 40, ANNS, 40).hash);
        assert_eq!(reader.head(there).unwrap().commit_seq, Seq(0));
        assert_eq!(reader.entries(whole(here)).unwrap().len(), 40);
        let range = EntryRange { from: Seq(10), to: Seq(12), ..whole(here) };
        let page: Vec<EntryRow> =
            (10..=12).map(|seq| message(here, seq, ANNS, seq)).collect();
        assert_eq!(reader.entries(range).unwrap(), page);
        let few = EntryRange { n_rows_max: 2, ..range };
        assert_eq!(reader.entries(few).unwrap(), page[..2]);
    }

    fn a_page_ends_with_the_row_that_fills_it(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&room(7)).unwrap();
            for seq in 1..=9 {
                write.insert_entry(&message(number, seq, ANNS, seq)).unwrap();
            }
            number
        });
        let reader = store.reader().unwrap();
        let rows = |n_bytes_max| {
            let range = EntryRange { n_bytes_max, ..whole(number) };
            reader.entries(range).unwrap().len()
        };
        assert_eq!((rows(0), rows(99), rows(100), rows(250)), (1, 1, 2, 3));
    }

    fn a_counter_only_rises_and_a_place_is_taken_once(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&room(7)).unwrap();
            write.insert_entry(&message(number, 1, ANNS, 1)).unwrap();
            write.insert_entry(&message(number, 2, ANNS, 2)).unwrap();
            number
        });
        for row in [
            message(number, 3, ANNS, 2),
            message(number, 3, ANNS, 1),
            message(number, 2, ANNS, 3),
            message(number, 1, BOBS, 1),
        ] {
            let error = fail(&mut *writer, |write| write.insert_entry(&row));
            assert!(matches!(error, StoreError::Exists), "{error}");
        }
        change(&mut *writer, |write| write.insert_entry(&message(number, 3, BOBS, 1)).unwrap());
        assert_eq!(store.reader().unwrap().head(number).unwrap().seq, Seq(3));
    }

    fn the_newest_sixteen_of_a_device_are_remembered(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&room(7)).unwrap();
            for n in 1..=20 {
                write.insert_entry(&message(number, 2 * n - 1, ANNS, n)).unwrap();
                write.insert_entry(&message(number, 2 * n, BOBS, n + 100)).unwrap();
            }
            let unheard = EntryRow {
                tag: tag::SCHEDULED,
                ctr: Counter(u64::MAX),
                ..message(number, 41, ANNS, 0)
            };
            write.insert_entry(&unheard).unwrap();
            number
        });
        let reader = store.reader().unwrap();
        let lane = reader.lane(number, ANNS).unwrap();
        let expected: Vec<_> = (5..=20).rev().map(|n| (Counter(n), Seq(2 * n - 1))).collect();
        assert_eq!(lane.iter().map(|row| (row.ctr, row.seq)).collect::<Vec<_>>(), expected);
        let newest = message(number, 39, ANNS, 20);
        assert_eq!((lane[0].time, lane[0].entry_hash), (newest.time, newest.entry_hash));
        assert_eq!(reader.lane(RoomNumber(99), ANNS).unwrap(), []);
    }

    fn commits_are_found_without_reading_the_messages_between(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&room(7)).unwrap();
            for seq in 1..=30 {
                let row = if seq % 10 == 1 {
                    commit(number, seq)
                } else {
                    message(number, seq, ANNS, seq)
                };
                write.insert_entry(&row).unwrap();
            }
            number
        });
        let reader = store.reader().unwrap();
        let places = |after, n_rows_max| {
            let rows = reader.commits(number, Seq(after), n_rows_max).unwrap();
            rows.iter().map(|row| row.seq.0).collect::<Vec<_>>()
        };
        assert_eq!(places(0, 9), [1, 11, 21]);
        assert_eq!(places(1, 9), [11, 21]);
        assert_eq!(places(0, 2), [1, 11]);
        assert!(places(21, 2).is_empty());
        assert_eq!(reader.head(number).unwrap().commit_seq, Seq(21));
    }

    fn bodies_expire_from_the_oldest_on_and_commits_and_hashes_stay(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let (number, kept) = change(&mut *writer, |write| {
            let number = write.insert_room(&room(7)).unwrap();
            let kept = write.insert_room(&room(8)).unwrap();
            write.insert_entry(&commit(number, 1)).unwrap();
            write.insert_entry(&message(kept, 1, ANNS, 1)).unwrap();
            for seq in 2..=9 {
                write.insert_entry(&message(number, seq, ANNS, seq)).unwrap();
            }
            (number, kept)
        });
        // The time of entry n is 1,000 + n.
        let mut expire = |before, n_rows_max| {
            let expired = change(&mut *writer, |write| {
                write.expire(number, TimeMs(before), n_rows_max).unwrap()
            });
            (expired.n_seen, expired.n_removed)
        };
        assert_eq!(expire(1_001, 10), (0, 0), "nothing is older");
        assert_eq!(expire(1_006, 3), (3, 2), "the commit is seen and stays");
        assert_eq!(expire(1_006, 10), (2, 2));
        assert_eq!(expire(1_006, 10), (0, 0));
        let reader = store.reader().unwrap();
        let left = reader.entries(whole(number)).unwrap();
        let with_body: Vec<u64> =
            left.iter().filter(|row| row.body.is_some()).map(|row| row.seq.0).collect();
        assert_eq!(with_body, [1, 6, 7, 8, 9]);
        let gone = EntryRow { body: None, ..message(number, 2, ANNS, 2) };
        assert_eq!(left[1], gone, "all but the body is as it was");
        assert_eq!(reader.lane(number, ANNS).unwrap().len(), 8);
        assert_eq!(reader.entries(whole(kept)).unwrap(), [message(kept, 1, ANNS, 1)]);
        let error = fail(&mut *writer, |write| {
            write.expire(RoomNumber(9), TimeMs(5), 1).map(drop)
        });
        assert!(matches!(error, StoreError::Broken(_)), "a room that is not");
    }

    fn rooms_that_forget_are_listed_in_pages(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        change(&mut *writer, |write| {
            for id in 1..=4 {
                let days = u32::from(id % 2);
                let row = RoomRow { retention_days: days, ..room(id) };
                write.insert_room(&row).unwrap();
            }
            write.set_retention(RoomNumber(2), 7).unwrap();
            write.set_retention(RoomNumber(3), 0).unwrap();
        });
        let reader = store.reader().unwrap();
        let page = |after, n_rows_max| {
            let rows = reader.forgetful_rooms(RoomNumber(after), n_rows_max).unwrap();
            rows.iter().map(|row| (row.number.0, row.retention_days)).collect::<Vec<_>>()
        };
        assert_eq!(page(0, 9), [(1, 1), (2, 7)]);
        assert_eq!(page(0, 1), [(1, 1)]);
        assert_eq!(page(2, 9), []);
    }

    fn a_number_of_a_scheduled_entry_is_used_once(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let row = |number, seq, id| EntryRow {
            tag: tag::SCHEDULED,
            ctr: Counter(id),
            ..message(number, seq, ANNS, 0)
        };
        let number = change(&mut *writer, |write| {
            let number = write.insert_room(&room(7)).unwrap();
            write.insert_entry(&row(number, 1, u64::MAX)).unwrap();
            write.insert_entry(&row(number, 2, 3)).unwrap();
            number
        });
        let reader = store.reader().unwrap();
        assert!(reader.scheduled_used(number, ANNS, u64::MAX).unwrap());
        assert!(!reader.scheduled_used(number, BOBS, 3).unwrap());
        let error = fail(&mut *writer, |write| write.insert_entry(&row(number, 3, 3)));
        assert!(matches!(error, StoreError::Exists));
    }
}
