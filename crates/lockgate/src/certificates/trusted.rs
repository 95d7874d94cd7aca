//! The certificate that gateways and services are told to trust, in a file of a name that stays:
//! which authority signs may change.

use std::io;

use crate::home::{Home, durable};

/// Makes the file hold this certificate; whether it held another one, or none.
pub(crate) fn keep(home: &Home, pem: &str) -> io::Result<bool> {
    let path = home.trusted_file();
    if std::fs::read(&path).is_ok_and(|kept| kept == pem.as_bytes()) {
        return Ok(false);
    }
    durable::write(&path, pem.as_bytes())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::home;

    #[test]
    fn it_is_written_where_it_says_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        assert!(keep(&home, "one").is_err(), "there is no folder yet");
        std::fs::create_dir_all(home.ca_dir()).unwrap();
        let kept = |pem| keep(&home, pem).unwrap();
        assert_eq!([kept("one"), kept("one"), kept("two")], [true, false, true]);
        let read = std::fs::read_to_string(home.trusted_file()).unwrap();
        assert_eq!(read, "two");
    }
}
