//! What is done inside a container: programs that run in it, files that are read from it.

use std::io::Read as _;
use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder,
};
use futures_util::{Stream, StreamExt as _};
use tokio::io::AsyncWrite;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{Engine, EngineError};

impl Engine {
    /// Runs a program in a container; what it writes, as it comes, and then how it ended.
    pub(crate) async fn exec(
        &self,
        container: &str,
        command: Vec<String>,
        how: Exec,
    ) -> Result<Running, EngineError> {
        let act = format!(
            "run `{}` in `{container}`",
            command.first().map_or("", String::as_str)
        );
        let options = CreateExecOptions {
            attach_stdin: Some(how == Exec::Tied),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command),
            ..CreateExecOptions::default()
        };
        let made = self.docker.create_exec(container, options).await;
        let id = made.map_err(self.refused(act.clone()))?.id;
        let started = self.docker.start_exec(&id, None).await;
        let StartExecResults::Attached { output, input } = started.map_err(self.refused(act))?
        else {
            unreachable!("it was not asked to run detached");
        };
        Ok(Running {
            engine: self.clone(),
            id,
            output,
            _input: input,
        })
    }

    /// Begins a program in a container and leaves it to itself.
    pub(in super::super) async fn exec_apart(
        &self,
        container: &str,
        command: Vec<String>,
    ) -> Result<(), EngineError> {
        let act = format!("begin `{}` in `{container}`", command.join(" "));
        let options = CreateExecOptions {
            cmd: Some(command),
            ..CreateExecOptions::default()
        };
        let made = self.docker.create_exec(container, options).await;
        let id = made.map_err(self.refused(act.clone()))?.id;
        let apart = StartExecOptions {
            detach: true,
            ..StartExecOptions::default()
        };
        let started = self.docker.start_exec(&id, Some(apart)).await;
        started.map(drop).map_err(self.refused(act))
    }

    /// Whether a container, running or not, has this file.
    pub(crate) async fn has_file(&self, container: &str, path: &str) -> Result<bool, EngineError> {
        let options = ContainerArchiveInfoOptionsBuilder::default()
            .path(path)
            .build();
        let found = self
            .docker
            .get_container_archive_info(container, Some(options))
            .await
            .map_err(self.refused(format!("look for `{container}:{path}`")));
        match found {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A file of a container, running or not; `None` where there is none.
    pub(crate) async fn file(
        &self,
        container: &str,
        path: &str,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let act = format!("copy `{container}:{path}`");
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let mut pieces = self
            .docker
            .download_from_container(container, Some(options));
        let mut archive = Vec::new();
        while let Some(piece) = pieces.next().await {
            match piece.map_err(self.refused(act.clone())) {
                Ok(piece) => archive.extend_from_slice(&piece),
                Err(error) if error.is_missing() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let read = || {
            let mut archive = tar::Archive::new(archive.as_slice());
            let Some(entry) = archive.entries()?.next() else {
                return Ok(None);
            };
            let mut content = Vec::new();
            entry?.read_to_end(&mut content)?;
            Ok(Some(content))
        };
        read().map_err(|err| self.refused(act)(Error::IOError { err }))
    }

    /// The wanted files of a folder of a container, running or not, by their names; none where
    /// there is no such folder. An engine gives a folder with all that is below it, so this takes
    /// a moment where much is; nothing of it is kept.
    pub(crate) async fn files_in(
        &self,
        container: &str,
        folder: &str,
        is_wanted: fn(&str) -> bool,
    ) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
        let act = format!("copy from `{container}:{folder}`");
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(folder)
            .build();
        let pieces = self
            .docker
            .download_from_container(container, Some(options));
        let mut pieces = Box::pin(pieces);
        let first = match pieces.next().await.transpose() {
            Ok(Some(first)) => first,
            Ok(None) => return Ok(Vec::new()),
            Err(error) => {
                let error = self.refused(act)(error);
                return if error.is_missing() {
                    Ok(Vec::new())
                } else {
                    Err(error)
                };
            }
        };
        let rest = pieces.map(|piece| piece.map_err(std::io::Error::other));
        let all = futures_util::stream::iter([Ok(first)]).chain(rest);
        let reader = SyncIoBridge::new(StreamReader::new(all));
        let read = tokio::task::spawn_blocking(move || top_files(reader, is_wanted));
        let read = read
            .await
            .unwrap_or_else(|end| Err(std::io::Error::other(end)));
        read.map_err(|err| self.refused(act)(Error::IOError { err }))
    }
}

/// The longest of several files that is read, in bytes; they are logs of a hundred lines.
const LONGEST: u64 = 16 << 20;

/// The files of an archive that lie in its top folder and are wanted.
fn top_files(
    archive: impl std::io::Read,
    is_wanted: fn(&str) -> bool,
) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path.file_name().and_then(|name| name.to_str());
        let is_top = path.components().count() == 2;
        let is_file = entry.header().entry_type().is_file();
        if let Some(name) = name.filter(|name| is_top && is_file && is_wanted(name)) {
            let mut content = Vec::new();
            entry.take(LONGEST).read_to_end(&mut content)?;
            found.push((name.to_owned(), content));
        }
    }
    Ok(found)
}

/// How a program runs in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exec {
    /// To its own end.
    Plain,
    /// With a standard input that ends when whoever started it is gone.
    Tied,
}

/// A program that runs in a container.
pub(crate) struct Running {
    engine: Engine,
    id: String,
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
    /// Held as long as it shall run.
    _input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Running {
    /// The next piece of what it writes, with whether that went to its standard error.
    pub(crate) async fn next(&mut self) -> Option<(bool, Vec<u8>)> {
        match self.output.next().await?.ok()? {
            LogOutput::StdErr { message } => Some((true, message.to_vec())),
            other => Some((false, other.into_bytes().to_vec())),
        }
    }

    /// Whether it ended well.
    pub(crate) async fn ended_well(self) -> bool {
        let found = self.engine.docker.inspect_exec(&self.id).await;
        found.is_ok_and(|found| found.exit_code == Some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_files_of_the_top_folder_are_taken_from_an_archive() {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in [
            ("lockgate/crash-1.log", "one"),
            ("lockgate/releases/a/crash-2.log", "below"),
            ("lockgate/good.json", "another"),
            ("lockgate/crash-3.log", "three"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o640);
            archive
                .append_data(&mut header, path, content.as_bytes())
                .unwrap();
        }
        let archive = archive.into_inner().unwrap();
        let is_wanted = |name: &str| name.starts_with("crash-");
        let found = top_files(archive.as_slice(), is_wanted).unwrap();
        let text = |(name, content): &(String, Vec<u8>)| {
            format!("{name}: {}", String::from_utf8_lossy(content))
        };
        let found: Vec<String> = found.iter().map(text).collect();
        assert_eq!(found, ["crash-1.log: one", "crash-3.log: three"]);
        assert!(top_files(&archive[..100], is_wanted).is_err());
    }
}
