//! The folder that files come into.

use std::fs;
use std::thread;

use aquabills::actions::bank::folder::Watch;

use super::COLUMNS;
use super::support::on_both;

on_both! {
    fn files_are_taken_once_and_refused_ones_say_why(town: Town) {
        let mut town = crate::town(town);
        town.configure(|config| config.bank.folder_mapping = "ops".to_owned());
        let folder = town.dir.path().join("bank");
        fs::create_dir(&folder).expect("the folder is made");
        let day = format!("{COLUMNS}\n2026-06-10,100.00,A-1001,Jane Smith,DE01,,1\n");
        fs::write(folder.join("day.csv"), &day).expect("a file");
        fs::write(folder.join("odd.txt"), "hello").expect("a file");
        fs::write(folder.join(".hidden.csv"), "x").expect("a file");
        fs::write(folder.join("coming.csv.part"), "x").expect("a file");
        fs::create_dir(folder.join("more")).expect("a folder");
        std::os::unix::fs::symlink("/etc/passwd", folder.join("link.csv")).expect("a link");
        let mut watch = Watch::default();
        // The first look cannot tell whether they are still being written.
        let look = |watch: &mut Watch| watch.look(&town.context, &folder).expect("the folder is looked at");
        assert_eq!((look(&mut watch).unsettled, town.balance("A-1001").as_str()), (2, "100.00"));
        fs::write(folder.join("odd.txt"), "hello again").expect("it is still being written");
        let looked = look(&mut watch);
        assert_eq!((looked.imported, looked.refused.len(), looked.unsettled), (vec!["day.csv".to_owned()], 0, 1));
        assert_eq!(town.balance("A-1001"), "0.00");
        let looked = look(&mut watch);
        assert_eq!((looked.imported.len(), looked.refused.len()), (0, 1));
        assert!(folder.join("done/day.csv").is_file() && folder.join("refused/odd.txt").is_file());
        let reason = fs::read_to_string(folder.join("refused/odd.txt.reason")).expect("the reason is beside it");
        assert!(reason.contains("odd.txt: line 1: format: not recognised"), "{reason}");
        // The bank sends the same file again: it adds nothing and gets a name of its own.
        fs::write(folder.join("day.csv"), &day).expect("a file");
        look(&mut watch);
        assert_eq!(look(&mut watch).imported, ["day.csv"]);
        assert!(folder.join("done/2-day.csv").is_file());
        assert_eq!(town.balance("A-1001"), "0.00");
        assert!(folder.join(".hidden.csv").is_file() && folder.join("coming.csv.part").is_file() && folder.join("link.csv").exists());
    }

    fn two_servers_on_one_folder(town: Town) {
        let mut town = crate::town(town);
        town.configure(|config| config.bank.folder_mapping = "ops".to_owned());
        let folder = town.dir.path().join("bank");
        fs::create_dir(&folder).expect("the folder is made");
        for number in 1..=8 {
            let day = format!("{COLUMNS}\n2026-06-10,10.00,A-1001,Jane Smith,DE01,,{number}\n");
            fs::write(folder.join(format!("{number}.csv")), day).expect("a file");
        }
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut watch = Watch::default();
                    for _ in 0..3 {
                        watch.look(&town.context, &folder).expect("the folder is looked at");
                    }
                });
            }
        });
        assert_eq!(town.balance("A-1001"), "20.00");
        assert_eq!(fs::read_dir(folder.join("done")).expect("the folder is there").count(), 8);
        town.assert_sound();
    }
}
