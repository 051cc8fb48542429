//! Batches: all of it or nothing, seen by readers only afterwards, by one writer.

use mathia_protocol::id::TimeMs;
use mathia_server::store::{Counts, Store, StoreError};

use super::cast::stories;
use super::cast::{ANN, ANNS, BOB, REALM, account, change, fail, link, message, room};

stories! {
    fn a_failed_batch_leaves_nothing_behind(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let number = change(&mut *writer, |write| {
            write.insert_account(&account(ANN, "ann"), &link(0)).unwrap();
            let number = write.insert_room(&room(7)).unwrap();
            write.insert_entry(&message(number, 1, ANNS, 1)).unwrap();
            number
        });
        let error = fail(&mut *writer, |write| {
            write.insert_account(&account(BOB, "bob"), &link(0))?;
            write.insert_room(&room(8))?;
            write.insert_entry(&message(number, 2, ANNS, 2))?;
            write.set_setting("color", b"green")?;
            assert!(write.account(BOB)?.is_some(), "a batch sees what it wrote");
            write.insert_entry(&message(number, 2, ANNS, 3))
        });
        assert!(matches!(error, StoreError::Exists));
        let reader = store.reader().unwrap();
        let counts = Counts { n_accounts: 1, n_rooms: 1, n_entries: 1, n_schedules: 0 };
        assert_eq!(reader.counts().unwrap(), counts);
        assert_eq!(reader.setting("color").unwrap(), None);

        // Neither the counter nor the room number of the failed batch is used up.
        change(&mut *writer, |write| {
            write.insert_entry(&message(number, 2, ANNS, 2)).unwrap();
            assert_eq!(write.insert_room(&room(9)).unwrap(), number.next());
        });
    }

    fn a_reader_sees_a_batch_only_after_its_commit(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let reader = store.reader().unwrap();
        change(&mut *writer, |write| {
            write.insert_account(&account(ANN, "ann"), &link(0)).unwrap();
            assert_eq!(reader.account(ANN).unwrap(), None);
            assert!(write.account(ANN).unwrap().is_some());
        });
        assert_eq!(reader.account(ANN).unwrap(), Some(account(ANN, "ann")));
        change(&mut *writer, |write| {
            write.set_last_seen(ANN, TimeMs(9)).unwrap();
            assert_eq!(reader.account(ANN).unwrap().unwrap().last_seen, TimeMs(5));
        });
        assert_eq!(reader.account(ANN).unwrap().unwrap().last_seen, TimeMs(9));
    }

    fn there_is_one_writer_at_a_time(store: &dyn Store) {
        let writer = store.writer().unwrap();
        assert!(matches!(store.writer(), Err(StoreError::Broken(_))));
        drop(writer);
        assert!(store.writer().is_ok());
    }

    fn the_data_has_an_identity_and_keeps_small_values(store: &dyn Store) {
        let mut writer = store.writer().unwrap();
        let reader = store.reader().unwrap();
        assert_eq!(reader.realm().unwrap(), REALM);
        assert_eq!(reader.counts().unwrap(), Counts::default());
        change(&mut *writer, |write| write.set_setting("pin", b"one").unwrap());
        change(&mut *writer, |write| write.set_setting("pin", b"").unwrap());
        assert_eq!(reader.setting("pin").unwrap(), Some(Vec::new()));
        assert_eq!(reader.setting("other").unwrap(), None);
    }
}
