//! What was upgraded: bytes both ways, until one side ends.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;
use tokio_util::sync::CancellationToken;

/// The buffer of each direction.
const BUFFER_BYTES: usize = 16 * 1024;

/// Joins two upgraded connections until both ended, one failed, or `cut`.
pub(super) async fn tunnel(client: OnUpgrade, upstream: OnUpgrade, cut: CancellationToken) {
    let joined = async {
        let (client, upstream) =
            tokio::try_join!(client, upstream).map_err(std::io::Error::other)?;
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER_BYTES, BUFFER_BYTES).await
    };
    tokio::select! {
        ended = joined => match ended {
            Ok((up, down)) => tracing::debug!(up, down, "tunnel ended"),
            Err(error) => tracing::debug!(%error, "tunnel ended early"),
        },
        () = cut.cancelled() => {}
    }
}
