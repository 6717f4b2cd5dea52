//! A server that speaks S3, with one bucket, on a port of its own.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::{net::TcpListener, task::JoinSet};
use violet::{config::Config, settings::Hidden};

const KEY: &str = "someone";
const SECRET: &str = "a secret of some length";
const NAME: &str = "violet";
/// Objects are kept below this in the bucket.
const PREFIX: &str = "kept";

pub(crate) struct Bucket {
    address: SocketAddr,
    folder: tempfile::TempDir,
    /// Whether connections are taken and dropped.
    away: Arc<AtomicBool>,
    _serving: JoinSet<()>,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join(NAME)).expect("it is new");
        let service = {
            let files = FileSystem::new(folder.path()).expect("the folder is there");
            let mut builder = S3ServiceBuilder::new(files);
            builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
            builder.build()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let away = Arc::new(AtomicBool::new(false));
        let mut serving = JoinSet::new();
        let gone = Arc::clone(&away);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                if gone.load(Ordering::Relaxed) {
                    connections.abort_all();
                    continue;
                }
                let serving = http1::Builder::new()
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service.clone());
                connections.spawn(async move {
                    let _ = serving.await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            folder,
            away,
            _serving: serving,
        }
    }

    /// Makes a server keep its files here.
    pub(crate) fn put(&self, config: &mut Config) {
        config.storage.url = format!("s3://{NAME}/{PREFIX}");
        let s3 = &mut config.storage.s3;
        s3.endpoint = format!("http://{}", self.address);
        s3.region = "us-east-1".into();
        s3.access_key_id = KEY.into();
        s3.secret_access_key = Hidden::new(SECRET);
    }

    /// From now on it does not answer, or does again.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.away.store(refuse, Ordering::Relaxed);
    }

    /// The names of the objects.
    pub(crate) fn objects(&self) -> Vec<String> {
        self.objects_below(PREFIX)
    }

    /// The names of those below another prefix.
    pub(crate) fn objects_below(&self, prefix: &str) -> Vec<String> {
        names(&self.folder.path().join(NAME).join(prefix).join("files"))
    }

    /// How users of the original have named it in the environment.
    pub(crate) fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("R2_BUCKET_NAME", NAME.to_owned()),
            ("R2_ENDPOINT_URL", format!("http://{}", self.address)),
            ("R2_ACCESS_KEY_ID", KEY.to_owned()),
            ("R2_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ]
    }

    /// Parts of uploads that have not ended.
    pub(crate) fn parts(&self) -> usize {
        let all = names(self.folder.path());
        all.iter().filter(|name| name.contains(".part-")).count()
    }

    /// Puts an object beside those of the server.
    pub(crate) fn plant(&self, name: &str, content: &[u8]) -> std::path::PathBuf {
        let path = self
            .folder
            .path()
            .join(NAME)
            .join(PREFIX)
            .join("files")
            .join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        std::fs::write(&path, content).expect("it can be written");
        path
    }
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
