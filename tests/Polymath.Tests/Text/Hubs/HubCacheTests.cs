using Polymath.Recipes;
using Polymath.Text.Hubs;

namespace Polymath.Tests.Text.Hubs;

/// <summary>The caches are those of the hubs' own libraries: laid out the same, read from and written for both.</summary>
[Trait("kind", "unit")]
public sealed class HubCacheTests : IDisposable
{
    private readonly HubScene _scene = new();

    public void Dispose() => _scene.Dispose();

    private HubSnapshot Offline(HubSelection selection, string address = "hf:org/tiny") =>
        _scene.Hub(offline: true).Fetch(HubAddress.ParseAny(address), selection, TestContext.Current.CancellationToken);

    [Fact]
    public void FilesLieAsHuggingFacesLibraryLaysThem()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a right there");
        var commit = _scene.PutTiny();
        var snapshot = _scene.Fetch();
        Assert.Equal(Path.Combine(_scene.Root, "snapshots", commit), snapshot.Folder);
        Assert.Equal(commit, File.ReadAllText(Path.Combine(_scene.Root, "refs", "main")));
        foreach (var (name, content) in new[]
        {
            ("config.json", HubScene.Text("{\"model_type\": \"llama\"}")), ("model.safetensors", HubScene.Bytes(100_000)),
        })
            Assert.Equal($"../../blobs/{_scene.Server.DigestOf(content)}", new FileInfo(Path.Combine(snapshot.Folder, name)).LinkTarget);
        Assert.Equal(3, Directory.GetFiles(Path.Combine(_scene.Root, "blobs")).Length);
        Assert.True(File.Exists(Path.Combine(_scene.Root, ".no_exist", commit, "chat_template.jinja")));
        Assert.False(File.Exists(Path.Combine(_scene.Root, ".no_exist", commit, "tokenizer.json")));
        Assert.Equal(3, Directory.GetFiles(_scene.Folder.At("hub", ".locks", "models--org--tiny"), "*.lock").Length);
        _scene.Server.Put("datasets/org/d", ("data/deep/a.jsonl", HubScene.Text("{}\n")));
        var file = Assert.Single(_scene.Hub().Data("hf:org/d", TestContext.Current.CancellationToken));
        Assert.Equal($"../../../../blobs/{_scene.Server.DigestOf(HubScene.Text("{}\n"))}", new FileInfo(file).LinkTarget);
        Assert.True(Directory.Exists(_scene.Folder.At("hub", "datasets--org--d")));
    }

    [Fact]
    public void WhereNoLinksMayBeMadeFilesAreCopied()
    {
        _scene.PutTiny();
        var snapshot = _scene.Hub(links: false).Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken);
        Assert.All(snapshot.Files, name => Assert.Null(new FileInfo(Path.Combine(snapshot.Folder, name)).LinkTarget));
        Assert.Equal(HubScene.Bytes(100_000), File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
        Assert.Equal(snapshot.Files, Offline(HubSelection.Model).Files);
    }

    [Fact]
    public void ACacheThatHuggingFacesLibraryMadeIsReadOffline()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a right there");
        var commit = HubServer.CommitOf("by hand");
        foreach (var (name, digest) in new[]
        {
            ("config.json", "aa"), ("tokenizer.json", "bb"), ("model-00001-of-00002.safetensors", "cc"),
            ("model-00002-of-00002.safetensors", "dd"), ("model.safetensors.index.json", "ee"),
        })
            Link(commit, name, digest, name == "model.safetensors.index.json"
                ? """{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"""
                : "{}");
        Directory.CreateDirectory(Path.Combine(_scene.Root, "refs"));
        File.WriteAllText(Path.Combine(_scene.Root, "refs", "main"), commit);
        foreach (var address in new[] { "hf:org/tiny", $"hf:org/tiny@{commit}" })
        {
            var snapshot = Offline(HubSelection.Model, address);
            Assert.Equal((commit, 5), (snapshot.Commit, snapshot.Files.Count));
        }
        Assert.Empty(_scene.Server.Requests);
        File.Delete(Path.Combine(_scene.Root, "blobs", "dd"));
        var refusal = Assert.Throws<InputException>(() => Offline(HubSelection.Model)).Message;
        Assert.Contains("model-00002-of-00002.safetensors", refusal, StringComparison.Ordinal);
        Assert.Contains("polymath hub download hf:org/tiny", refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void AFileThatHuggingFacesLibraryFetchedIsNotFetchedAgain()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a right there");
        var commit = _scene.PutTiny();
        var weights = HubScene.Bytes(100_000);
        Link(commit, "model.safetensors", _scene.Server.DigestOf(weights), weights);
        _scene.Fetch();
        Assert.DoesNotContain(_scene.Server.Contents, request => request.Path.EndsWith(".safetensors", StringComparison.Ordinal));
    }

    [Fact]
    public void ALinkOutOfTheCacheIsRefused()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a right there");
        var commit = _scene.PutTiny();
        var snapshot = _scene.Fetch();
        var pointer = Path.Combine(snapshot.Folder, "config.json");
        File.Delete(pointer);
        File.CreateSymbolicLink(pointer, _scene.Folder.Write("secret.json", "{}"));
        Assert.Contains(
            "leads out of the cache",
            Assert.Throws<InputException>(() => Offline(HubSelection.Model, $"hf:org/tiny@{commit}")).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void OfflineNothingIsAskedAndWhatIsMissingIsTold()
    {
        _scene.PutTiny();
        Assert.Contains(
            "polymath hub download hf:org/tiny",
            Assert.Throws<InputException>(() => Offline(HubSelection.Model)).Message,
            StringComparison.Ordinal);
        _scene.Hub().Tokenizer("hf:org/tiny", TestContext.Current.CancellationToken);
        _scene.Server.Requests.Clear();
        Assert.Equal(["config.json", "tokenizer.json"], Offline(HubSelection.Tokenizer).Files);
        Assert.Contains(
            "model.safetensors is not in the cache",
            Assert.Throws<InputException>(() => Offline(HubSelection.Model)).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "nothing of it is in the cache",
            Assert.Throws<InputException>(() => Offline(HubSelection.Model, "hf:org/tiny@v2")).Message,
            StringComparison.Ordinal);
        Assert.Empty(_scene.Server.Requests);
    }

    [Fact]
    public void AHubThatIsDownIsDoneWithoutWhereTheCacheSuffices()
    {
        var commit = _scene.PutTiny();
        _scene.Fetch();
        _scene.Server.Misbehave = _ => new Trouble(503);
        var told = new Listener();
        var snapshot = _scene.Hub(watch: told).Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken);
        Assert.Equal(commit, snapshot.Commit);
        Assert.Contains("cannot be reached", Assert.Single(told.Notes), StringComparison.Ordinal);
        _scene.Server.Dispose();
        Assert.Contains(
            "the hub cannot be reached",
            Assert.Throws<InputException>(() => _scene.Hub().Model("hf:org/other", TestContext.Current.CancellationToken)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void ACacheWhereNoNotesCanBeWrittenIsRead()
    {
        var commit = _scene.PutTiny();
        _scene.Fetch();
        Directory.Delete(Path.Combine(_scene.Root, ".polymath"), true);
        File.WriteAllText(Path.Combine(_scene.Root, ".polymath"), "in the way, as a right that is missing would be");
        _scene.Server.Requests.Clear();
        Assert.Equal(commit, _scene.Fetch().Commit);
        Assert.Empty(_scene.Server.Contents);
    }

    [Fact]
    public void ABranchFollowsItsCommitsAndAPinDoesNot()
    {
        var first = _scene.PutTiny();
        var pins = new HubPins();
        Assert.Equal(first, _scene.Hub(pins: pins).Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken).Commit);
        Assert.Equal(new Dictionary<string, string> { ["hf:org/tiny"] = first }, pins.Commits);
        var second = _scene.PutTiny(weights: 90_000);
        Assert.Equal(second, _scene.Fetch().Commit);
        Assert.Equal(second, File.ReadAllText(Path.Combine(_scene.Root, "refs", "main")));
        _scene.Server.Requests.Clear();
        Assert.Equal(
            first,
            _scene.Hub(pins: new HubPins(pins.Commits))
                .Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken).Commit);
        Assert.Empty(_scene.Server.Requests);
        Directory.Delete(_scene.Root, true);
        Assert.Equal(
            first,
            _scene.Hub(pins: new HubPins(pins.Commits))
                .Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken).Commit);
    }

    [Fact]
    public void ModelScopesFilesLieAsItsLibraryLaysThem()
    {
        var commit = _scene.Server.Put(
            "models/org/ti.ny",
            ("config.json", HubScene.Text("{}")),
            ("model.safetensors", HubScene.Bytes(50_000)),
            ("configuration.json", HubScene.Text("{}")));
        var token = HubToken.Of("ms-secret", "MODELSCOPE_API_TOKEN");
        var folder = _scene.Hub(token: token).Model("modelscope:org/ti.ny", TestContext.Current.CancellationToken);
        Assert.Equal(_scene.Folder.At("scope", "models", "org", "ti___ny"), folder);
        Assert.Equal(["config.json", "model.safetensors"], Directory.GetFiles(folder).Select(Path.GetFileName).Order());
        Assert.All(_scene.Server.Requests, request => Assert.Equal("m_session_id=ms-secret", request.Headers["cookie"]));
        Assert.Equal(folder, _scene.Hub(offline: true).Model("modelscope:org/ti.ny", TestContext.Current.CancellationToken));
        var pinned = _scene.Hub();
        Assert.Equal(folder, pinned.Model("modelscope:org/ti.ny", TestContext.Current.CancellationToken));
        Assert.Equal(commit, pinned.Pins.Commits["modelscope:org/ti.ny"]);
        // What ModelScope's library put there is taken when it is the same, and replaced when not.
        Directory.Delete(_scene.Folder.At("scope", ".polymath"), true);
        File.WriteAllText(Path.Combine(folder, "config.json"), "[]");
        _scene.Server.Requests.Clear();
        Assert.Equal(folder, _scene.Hub().Model("modelscope:org/ti.ny", TestContext.Current.CancellationToken));
        Assert.Equal("{}", File.ReadAllText(Path.Combine(folder, "config.json")));
        Assert.Single(_scene.Server.Contents);
    }

    [Fact]
    public void ModelScopesDataIsListedPageByPage()
    {
        _scene.Server.Put("datasets/org/many", [.. Enumerable.Range(0, 250)
            .Select(i => ($"part/{i:D3}.jsonl", HubScene.Text($"{{\"text\": \"{i}\"}}\n")))]);
        var files = _scene.Hub().Data("modelscope:org/many/part/1*.jsonl", TestContext.Current.CancellationToken);
        Assert.Equal(100, files.Count);
        Assert.Equal(_scene.Folder.At("scope", "datasets", "org", "many", "part", "100.jsonl"), files[0]);
        Assert.Equal(3, _scene.Server.Requests.Count(request => request.Path.EndsWith("/tree", StringComparison.Ordinal)));
    }

    [Fact]
    public void WhatIsCachedIsTold()
    {
        var commit = _scene.PutTiny();
        _scene.Fetch();
        File.WriteAllText(Path.Combine(_scene.Root, "blobs", "x.incomplete"), "1234");
        _scene.Server.Put("models/org/scoped", ("config.json", HubScene.Text("{}")), ("model.safetensors", HubScene.Bytes(5000)));
        _scene.Hub().Model("modelscope:org/scoped", TestContext.Current.CancellationToken);
        var cached = _scene.Hub(offline: true).Cached();
        Assert.Equal(["hf:org/tiny", "modelscope:org/scoped"], cached.Select(each => each.Source));
        Assert.Equal((100_000 + 2 + 23, 4), (cached[0].Bytes, cached[0].IncompleteBytes));
        Assert.Equal(["main"], cached[0].Revisions[commit]);
        Assert.Equal(5002, cached[1].Bytes);
    }

    private void Link(string commit, string name, string digest, object content)
    {
        var blobs = Directory.CreateDirectory(Path.Combine(_scene.Root, "blobs")).FullName;
        var snapshot = Directory.CreateDirectory(Path.Combine(_scene.Root, "snapshots", commit)).FullName;
        File.WriteAllBytes(Path.Combine(blobs, digest), content as byte[] ?? HubScene.Text((string)content));
        File.CreateSymbolicLink(Path.Combine(snapshot, name), $"../../blobs/{digest}");
    }

    private sealed class Listener : HubWatch
    {
        public List<string> Notes { get; } = [];

        public override void Note(string text) => Notes.Add(text);
    }
}
