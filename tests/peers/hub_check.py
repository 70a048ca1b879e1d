"""Holds our cache of hubs against huggingface_hub's own: each reads what the other fetched, with no network and without fetching again. The suite `hub`.

    python3 hub_check.py POLYMATH PEERS MODEL

POLYMATH is the command line (./polymath), PEERS the root folder that holds Python with huggingface_hub, MODEL a folder in Hugging Face's layout. The hub is
a server of this script on this machine.
"""
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.parse

polymath, peers, model = sys.argv[1:4]
files = {name: open(os.path.join(model, name), "rb").read() for name in sorted(os.listdir(model)) if os.path.isfile(os.path.join(model, name))}
files["README.md"] = b"# tiny\n"
LARGE, COMMIT = 100_000, "c0ffee" + "0" * 34
fetched = []


def blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(content):
    more = {"lfs": {"sha256": hashlib.sha256(content).hexdigest(), "oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}} if len(content) >= LARGE else {}
    return {"size": len(content), "blobId": blob(content), "oid": blob(content), "type": "file", **more}


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def give(self, body, status=200, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self):
        path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        if path.startswith("/api/models/org/tiny/tree/"):
            return self.give(json.dumps([{"path": name, **entry(content)} for name, content in files.items()]).encode(), Content_Type="application/json")
        if path.startswith("/api/models/org/tiny"):
            return self.give(json.dumps({"id": "org/tiny", "sha": COMMIT, "siblings": [{"rfilename": name, **entry(content)} for name, content in files.items()]}).encode(), Content_Type="application/json")
        name = path.removeprefix("/org/tiny/resolve/").partition("/")[2]
        if not path.startswith("/org/tiny/resolve/") or name not in files:
            return self.give(b"", 404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        content = files[name]
        facts = {"X_Repo_Commit": COMMIT, "ETag": '"%s"' % (hashlib.sha256(content).hexdigest() if len(content) >= LARGE else blob(content)), "Accept_Ranges": "bytes"}
        if self.command == "GET":
            fetched.append(name)
        if "Range" in self.headers:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            first, last = int(first), min(int(last or len(content) - 1), len(content) - 1)
            return self.give(content[first:last + 1], 206, Content_Range=f"bytes {first}-{last}/{len(content)}", **facts)
        return self.give(content, **facts)

    do_HEAD = do_GET


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
endpoint = f"http://127.0.0.1:{server.server_port}"
folder = os.path.join(peers, "tmp", "hub-check")
shutil.rmtree(folder, ignore_errors=True)
bad = 0


def ours(cache, *arguments, **variables):
    told = subprocess.run([polymath, *arguments], capture_output=True, text=True, env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_CACHE": os.path.join(folder, cache), **variables})
    return told.stdout.strip() if told.returncode == 0 else "FAILED " + told.stderr


def theirs(cache, code, **variables):
    code = f"import huggingface_hub as hub, hashlib, os, json\ncache = '/tmp/hub-check/{cache}'\n{code}"
    told = subprocess.run(["chroot", peers, "python3", "-c", code], capture_output=True, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1", **variables})
    return told.stdout.strip() if told.returncode == 0 else "FAILED " + told.stderr


def check(what, found, wanted):
    global bad
    bad += found != wanted
    print(f"{what}: {'ok' if found == wanted else f'{found!r}, not {wanted!r}'}")


needed = sorted(name for name in files if name in ("config.json", "model.safetensors") or name.startswith("tokenizer"))
digests = {name: hashlib.sha256(files[name]).hexdigest() for name in needed}
SNAPSHOT = "folder = hub.snapshot_download('org/tiny', cache_dir=cache, local_files_only=True)\n"
DIGESTS = f"print(json.dumps({{name: hashlib.sha256(open(os.path.join(folder, name), 'rb').read()).hexdigest() for name in {needed!r}}}))"

ours("ours", "hub", "download", "hf:org/tiny")
check("they read what we fetched, offline", theirs("ours", SNAPSHOT + DIGESTS, HF_HUB_OFFLINE="1"), json.dumps(digests))
check("and file by file", theirs("ours", f"print(all(hub.try_to_load_from_cache('org/tiny', name, cache_dir=cache) == hub.hf_hub_download('org/tiny', name, cache_dir=cache) for name in {needed!r}))", HF_HUB_OFFLINE="1"), "True")
check("their scan finds nothing amiss", theirs("ours", "found = hub.scan_cache_dir(cache)\nprint(len(found.warnings), [(repo.repo_id, repo.repo_type, len(repo.revisions), sorted(repo.refs)) for repo in found.repos])"), "0 [('org/tiny', 'model', 1, ['main'])]")
fetched.clear()
check("they fetch only what we did not need", theirs("ours", "print(hub.snapshot_download('org/tiny', cache_dir=cache).rpartition('/')[2])") + " " + " ".join(sorted(set(fetched))), COMMIT + " " + " ".join(sorted(set(files) - set(needed))))
theirs("theirs", "hub.snapshot_download('org/tiny', cache_dir=cache)")
hashed = ours("none", "model", "hash", model)
check("we read what they fetched, offline", ours("theirs", "model", "hash", "hf:org/tiny", HF_HUB_OFFLINE="1"), hashed)
fetched.clear()
check("we fetch nothing that they fetched", ours("theirs", "model", "hash", "hf:org/tiny") + str(fetched), hashed + "[]")
version = theirs("none", "print(hub.__version__)")
print(f"huggingface_hub {version}: {'all the same' if bad == 0 else f'{bad} differ'}")
shutil.rmtree(folder, ignore_errors=True)
sys.exit(1 if bad else 0)
