//! Parts that tests of several modules need: a throw-away HTTP server, and writers for the formats that the
//! crate only reads.

use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::fetch::{Fetcher, hex};
use crate::manifest::{Artefact, Kind, Origin, Package, Source};
use crate::progress::{Event, Progress};
use crate::whisper::{Checkpoint, Dims, Tensor};

/// A request as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub path: String,
    /// The first byte asked for by a `Range` header.
    pub from: Option<usize>,
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// The length announced; none means that the end of the connection ends the body.
    pub announced: Option<usize>,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, headers: vec![], body: vec![], announced: Some(0) }
    }

    pub fn ok(body: &[u8]) -> Self {
        Self { status: 200, headers: vec![], body: body.to_vec(), announced: Some(body.len()) }
    }

    /// A file as a server with ranges serves it.
    pub fn file(body: &[u8], request: &Request) -> Self {
        match request.from {
            None => Self::ok(body),
            Some(from) if from < body.len() => {
                let range = format!("Content-Range: bytes {from}-{}/{}", body.len() - 1, body.len());
                Self { status: 206, headers: vec![range], ..Self::ok(&body[from..]) }
            }
            Some(_) => Self::status(416),
        }
    }

    /// The same, but the connection breaks after `n` bytes of the body.
    pub fn broken_after(mut self, n: usize) -> Self {
        self.body.truncate(n);
        self
    }
}

/// An HTTP server on a free port; stops when dropped.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(handle: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (requests, stop) = (requests.clone(), stop.clone());
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    // A client that goes away in the middle is part of what is tested.
                    let _ = answer(stream.unwrap(), &handle, &requests);
                }
            }
        });
        Self { url, requests, stop, thread: Some(thread) }
    }

    /// Serves files by path; everything else is 404.
    pub fn files(files: Vec<(String, Vec<u8>)>) -> Self {
        Self::start(move |request| match files.iter().find(|(path, _)| *path == request.path) {
            Some((_, body)) => Reply::file(body, request),
            None => Reply::status(404),
        })
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        let _ = self.thread.take().unwrap().join();
    }
}

fn answer(
    stream: TcpStream,
    handle: &impl Fn(&Request) -> Reply,
    requests: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut from = None;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = Some(range.trim_end_matches('-').parse().unwrap());
        }
    }
    let request = Request { path, from };
    requests.lock().unwrap().push(request.clone());
    let reply = handle(&request);
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status)?;
    for header in &reply.headers {
        write!(stream, "{header}\r\n")?;
    }
    if let Some(length) = reply.announced {
        write!(stream, "Content-Length: {length}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&reply.body)
}

/// An address where nothing listens.
pub fn nowhere() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}")
}

/// A fetcher that uses no proxy and never pauses.
pub fn fetcher(hub: &str, index: &str) -> Fetcher {
    Fetcher::new(hub.to_owned(), index.to_owned(), None, Duration::ZERO)
}

/// Notes what happened, and can be told to stop after some bytes.
#[derive(Default)]
pub struct Recorder {
    pub events: Vec<String>,
    pub stop_at: Option<u64>,
    pub stopped: bool,
}

impl Progress for Recorder {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Downloading { done, .. } => self.stopped |= self.stop_at.is_some_and(|at| done >= at),
            Event::Failed { name, error, .. } => self.events.push(format!("failed {name}: {error}")),
            Event::Ready { name, .. } => self.events.push(format!("ready {name}")),
            Event::Converting { name } => self.events.push(format!("converting {name}")),
            Event::Damaged { .. } => self.events.push("damaged".into()),
            Event::Waiting => self.events.push("waiting".into()),
        }
    }

    fn cancelled(&self) -> bool {
        self.stopped
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn leak_str(text: impl Into<String>) -> &'static str {
    Box::leak(text.into().into_boxed_str())
}

/// An artefact that is `body` once finished.
pub fn artefact(name: &str, body: &[u8], origins: Vec<Origin>) -> Artefact {
    let sha256 = leak_str(sha256(body));
    let sources = origins.into_iter().map(|origin| Source { origin, sha256 }).collect::<Vec<_>>();
    Artefact {
        name: leak_str(name),
        aliases: &[],
        kind: Kind::Whisper,
        file: leak_str(format!("{name}.bin")),
        size: body.len() as u64,
        sources: sources.leak(),
    }
}

pub fn hub_origin() -> Origin {
    Origin::Hub { repository: "o/r", revision: "1", path: "file.bin" }
}

/// The path under which [`hub_origin`] is asked for.
pub const HUB_PATH: &str = "/o/r/resolve/1/file.bin";

pub fn package(project: &str, file: &str, body: &[u8]) -> &'static Package {
    leak(Package {
        project: leak_str(project),
        file: leak_str(file),
        size: body.len() as u64,
        sha256: leak_str(sha256(body)),
    })
}

/// A registry: project pages with relative links, and the files.
pub fn registry(files: &[(&Package, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let mut served = Vec::new();
    for (package, body) in files {
        let link = format!("<a href=\"../../files/{}#sha256=0\">{}</a>", package.file, package.file);
        served.push((format!("/simple/{}/", package.project), format!("<html>{link}</html>").into_bytes()));
        served.push((format!("/files/{}", package.file), body.clone()));
    }
    served
}

/// A zip archive with compressed members, as wheels are.
pub fn wheel(members: &[(&str, &[u8])]) -> Vec<u8> {
    archive(members, CompressionMethod::Deflated)
}

fn archive(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, body) in members {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(body).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A source package with two tokens and a filter bank of one band.
pub fn sdist() -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let npz = wheel(&[("mel_1.npy", &npy(1, &[0.5; 201]))]);
    for (name, body) in [
        ("gpt2.tiktoken", b"IQ== 0\nIg== 1\n".as_slice()),
        ("multilingual.tiktoken", b"IQ== 0\n= 1\n"),
        ("mel_filters.npz", &npz),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, format!("openai_whisper-1/whisper/assets/{name}"), body).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

pub fn npy(bands: usize, weights: &[f32]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({bands}, 201), }}\n");
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.bytes());
    out.extend(weights.iter().flat_map(|w| w.to_le_bytes()));
    out
}

/// A model with one layer of width 64, its weights counted up.
pub fn checkpoint() -> Checkpoint {
    let dims = Dims {
        n_mels: 1,
        n_vocab: 3,
        n_audio_ctx: 4,
        n_audio_state: 64,
        n_audio_head: 1,
        n_audio_layer: 1,
        n_text_ctx: 5,
        n_text_state: 64,
        n_text_head: 1,
        n_text_layer: 1,
    };
    let mut tensors: Vec<Tensor> = Vec::new();
    let mut add = |name: &str, shape: &[usize]| {
        let seed = tensors.len() as f32;
        let count = shape.iter().product::<usize>();
        let data = (0..count)
            .flat_map(|i| half::f16::from_f32((i as f32 * 0.37 + seed).sin()).to_le_bytes())
            .collect();
        tensors.push(Tensor { name: name.to_owned(), shape: shape.to_vec(), data });
    };
    add("decoder.positional_embedding", &[5, 64]);
    add("encoder.positional_embedding", &[4, 64]);
    add("decoder.token_embedding.weight", &[3, 64]);
    let layer = |add: &mut dyn FnMut(&str, &[usize]), prefix: &str, cross: bool| {
        for (name, shape) in [
            ("mlp_ln.weight", &[64][..]),
            ("mlp_ln.bias", &[64]),
            ("mlp.0.weight", &[256, 64]),
            ("mlp.0.bias", &[256]),
            ("mlp.2.weight", &[64, 256]),
            ("mlp.2.bias", &[64]),
        ] {
            add(&format!("{prefix}.{name}"), shape);
        }
        for attention in ["attn", "cross_attn"].into_iter().take(1 + usize::from(cross)) {
            for (name, shape) in [
                ("_ln.weight", &[64][..]),
                ("_ln.bias", &[64]),
                (".query.weight", &[64, 64]),
                (".query.bias", &[64]),
                (".key.weight", &[64, 64]),
                (".value.weight", &[64, 64]),
                (".value.bias", &[64]),
                (".out.weight", &[64, 64]),
                (".out.bias", &[64]),
            ] {
                add(&format!("{prefix}.{attention}{name}"), shape);
            }
        }
    };
    layer(&mut add, "decoder.blocks.0", true);
    add("decoder.ln.weight", &[64]);
    add("decoder.ln.bias", &[64]);
    add("encoder.conv1.weight", &[64, 1, 3]);
    add("encoder.conv1.bias", &[64]);
    add("encoder.conv2.weight", &[64, 64, 3]);
    add("encoder.conv2.bias", &[64]);
    layer(&mut add, "encoder.blocks.0", false);
    add("encoder.ln_post.weight", &[64]);
    add("encoder.ln_post.bias", &[64]);
    Checkpoint { dims, tensors }
}

/// Writes the pickle of a state dictionary as `torch.save` does; matrices column by column if asked.
pub fn pickle(model: &Checkpoint, transposed: bool) -> Vec<u8> {
    let mut out = b"\x80\x02}(".to_vec();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.push(b'X');
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.bytes());
    };
    let int = |out: &mut Vec<u8>, n: usize| {
        out.push(b'J');
        out.extend((n as u32).to_le_bytes());
    };
    text(&mut out, "dims");
    out.extend(b"}(");
    let d = &model.dims;
    for (name, n) in [
        ("n_mels", d.n_mels),
        ("n_vocab", d.n_vocab),
        ("n_audio_ctx", d.n_audio_ctx),
        ("n_audio_state", d.n_audio_state),
        ("n_audio_head", d.n_audio_head),
        ("n_audio_layer", d.n_audio_layer),
        ("n_text_ctx", d.n_text_ctx),
        ("n_text_state", d.n_text_state),
        ("n_text_head", d.n_text_head),
        ("n_text_layer", d.n_text_layer),
    ] {
        text(&mut out, name);
        int(&mut out, n as usize);
    }
    out.push(b'u');
    text(&mut out, "model_state_dict");
    out.extend(b"}(");
    for (index, tensor) in model.tensors.iter().enumerate() {
        text(&mut out, &tensor.name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nHalfStorage\n");
        text(&mut out, &index.to_string());
        text(&mut out, "cpu");
        int(&mut out, tensor.data.len() / 2);
        out.extend(b"tQ");
        int(&mut out, 0);
        let mut strides = Vec::new();
        for at in 0..tensor.shape.len() {
            let inner = if transposed { &tensor.shape[..at] } else { &tensor.shape[at + 1..] };
            strides.push(inner.iter().product());
        }
        for sizes in [&tensor.shape, &strides] {
            out.push(b'(');
            sizes.iter().for_each(|n| int(&mut out, *n));
            out.push(b't');
        }
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"uu.");
    out
}

/// An OpenAI checkpoint file.
pub fn pt(model: &Checkpoint, transposed: bool) -> Vec<u8> {
    let pickle = pickle(model, transposed);
    let mut members = vec![("archive/data.pkl".to_owned(), pickle)];
    for (index, tensor) in model.tensors.iter().enumerate() {
        let mut data = tensor.data.clone();
        if let (true, [rows, columns]) = (transposed, &tensor.shape[..]) {
            for row in 0..*rows {
                for column in 0..*columns {
                    let (from, to) = (2 * (row * columns + column), 2 * (column * rows + row));
                    data[to..to + 2].copy_from_slice(&tensor.data[from..from + 2]);
                }
            }
        } else if transposed && tensor.shape.len() == 3 {
            let [a, b, c] = tensor.shape[..] else { unreachable!() };
            for (i, j, k) in (0..a * b * c).map(|n| (n / (b * c), n / c % b, n % c)) {
                let (from, to) = (2 * ((i * b + j) * c + k), 2 * (i + a * (j + b * k)));
                data[to..to + 2].copy_from_slice(&tensor.data[from..from + 2]);
            }
        }
        members.push((format!("archive/data/{index}"), data));
    }
    let members: Vec<_> = members.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect();
    archive(&members, CompressionMethod::Stored)
}

/// A CTranslate2 model file.
pub fn ct2(model: &Checkpoint) -> Vec<u8> {
    let get = |name: &str| model.tensors.iter().find(|t| t.name == name).unwrap().clone();
    let fuse = |names: &[&str], prefix: &str| {
        let mut parts = names.iter().map(|name| {
            let whole = format!("{prefix}.{name}");
            match model.tensors.iter().find(|t| t.name == whole) {
                Some(tensor) => tensor.clone(),
                None => Tensor { name: whole, shape: vec![64], data: vec![0; 128] },
            }
        });
        let mut fused = parts.next().unwrap();
        for part in parts {
            fused.shape[0] += part.shape[0];
            fused.data.extend(part.data);
        }
        fused
    };
    let mut out: Vec<(String, Tensor)> = vec![
        ("decoder/position_encodings/encodings".into(), get("decoder.positional_embedding")),
        ("encoder/position_encodings/encodings".into(), get("encoder.positional_embedding")),
        ("decoder/embeddings/weight".into(), get("decoder.token_embedding.weight")),
    ];
    let mut pair = |to: &str, from: &str, names: [&str; 2]| {
        out.push((format!("{to}/{}", names[0]), get(&format!("{from}.weight"))));
        out.push((format!("{to}/{}", names[1]), get(&format!("{from}.bias"))));
    };
    let (norm, linear) = (["gamma", "beta"], ["weight", "bias"]);
    for (side, last) in [("decoder", "ln"), ("encoder", "ln_post")] {
        let (to, from) = (format!("{side}/layer_0"), format!("{side}.blocks.0"));
        pair(&format!("{side}/layer_norm"), &format!("{side}.{last}"), norm);
        pair(&format!("{to}/ffn/layer_norm"), &format!("{from}.mlp_ln"), norm);
        pair(&format!("{to}/ffn/linear_0"), &format!("{from}.mlp.0"), linear);
        pair(&format!("{to}/ffn/linear_1"), &format!("{from}.mlp.2"), linear);
        pair(&format!("{to}/self_attention/layer_norm"), &format!("{from}.attn_ln"), norm);
        pair(&format!("{to}/self_attention/linear_1"), &format!("{from}.attn.out"), linear);
    }
    pair("decoder/layer_0/attention/layer_norm", "decoder.blocks.0.cross_attn_ln", norm);
    pair("decoder/layer_0/attention/linear_0", "decoder.blocks.0.cross_attn.query", linear);
    pair("decoder/layer_0/attention/linear_2", "decoder.blocks.0.cross_attn.out", linear);
    pair("encoder/conv1", "encoder.conv1", linear);
    pair("encoder/conv2", "encoder.conv2", linear);
    for side in ["decoder", "encoder"] {
        let prefix = format!("{side}.blocks.0.attn");
        let to = format!("{side}/layer_0/self_attention/linear_0");
        out.push((format!("{to}/weight"), fuse(&["query.weight", "key.weight", "value.weight"], &prefix)));
        out.push((format!("{to}/bias"), fuse(&["query.bias", "key.bias", "value.bias"], &prefix)));
    }
    let prefix = "decoder.blocks.0.cross_attn";
    let to = "decoder/layer_0/attention/linear_1";
    out.push((format!("{to}/weight"), fuse(&["key.weight", "value.weight"], prefix)));
    out.push((format!("{to}/bias"), fuse(&["key.bias", "value.bias"], prefix)));

    let name = |file: &mut Vec<u8>, name: &str| {
        file.extend((name.len() as u16 + 1).to_le_bytes());
        file.extend(name.bytes().chain([0]));
    };
    let mut file = 6u32.to_le_bytes().to_vec();
    name(&mut file, "WhisperSpec");
    file.extend(3u32.to_le_bytes());
    file.extend((out.len() as u32 + 1).to_le_bytes());
    // A scalar of another type, as the converter writes some.
    name(&mut file, "decoder/activation");
    file.extend([0, 1, 1, 0, 0, 0, 3]);
    for (to, tensor) in &out {
        name(&mut file, to);
        file.push(tensor.shape.len() as u8);
        tensor.shape.iter().for_each(|side| file.extend((*side as u32).to_le_bytes()));
        file.push(4);
        file.extend((tensor.data.len() as u32).to_le_bytes());
        file.extend(&tensor.data);
    }
    file.extend(0u32.to_le_bytes());
    file
}

/// Holds that every node's inputs are there before it, that nothing is there for nothing, and that the output is made.
pub fn uses_only_what_it_has(model: &[u8]) {
    let graph = <crate::onnx_proto::Model as prost::Message>::decode(model).unwrap().graph.unwrap();
    let mut known: Vec<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
    known.extend(graph.initializer.iter().map(|tensor| tensor.name.as_str()));
    let mut used = vec![];
    for node in &graph.node {
        for input in node.input.iter().filter(|input| !input.is_empty()) {
            assert!(known.contains(&input.as_str()), "{} wants {input}", node.name);
            used.push(input.as_str());
        }
        known.extend(node.output.iter().map(String::as_str));
    }
    assert!(graph.initializer.iter().all(|tensor| used.contains(&tensor.name.as_str())));
    assert!(known.contains(&graph.output[0].name.as_str()));
}
