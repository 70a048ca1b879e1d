using Polymath.Recipes;
using Polymath.Text.Hubs;

namespace Polymath.Tests.Text.Hubs;

/// <summary>The caches are those of the hubs' own libraries: with the same layout, shared for reading and writing.</summary>
[Trait("kind", "unit")]
public sealed class HubCacheTests : IDisposable
{
    private readonly HubScene scene = new();

    public void Dispose() => scene.Dispose();

    private HubSnapshot Offline(HubSelection selection, string address = "hf:org/tiny") =>
        scene.Hub(offline: true).Fetch(HubAddress.ParseAny(address), selection, TestContext.Current.CancellationToken);

    [Fact]
    public void FilesLieAsHuggingFacesLibraryLaysThem()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a right there");
        var commit = scene.PutTiny();
        var snapshot = scene.Fetch();
        Assert.Equal(Path.Combine(scene.Root, "snapshots", commit), snapshot.Folder);
        Assert.Equal(commit, File.ReadAllText(Path.Combine(scene.Root, "refs", "main")));
        foreach (var (name, content) in new[]
        {
            ("config.json", HubScene.Text("{\"model_type\": \"llama\"}")), ("model.safetensors", HubScene.Bytes(100_000)),
        })
            Assert.Equal($"../../blobs/{scene.Server.DigestOf(content)}", new FileInfo(Path.Combine(snapshot.Folder, name)).LinkTarget);
        Assert.Equal(3, Directory.GetFiles(Path.Combine(scene.Root, "blobs")).Length);
        Assert.True(File.Exists(Path.Combine(scene.Root, ".no_exist", commit, "chat_template.jinja")));
        Assert.False(File.Exists(Path.Combine(scene.Root, ".no_exist", commit, "tokenizer.json")));
        Assert.Equal(3, Directory.GetFiles(scene.Folder.At("hub", ".locks", "models--org--tiny"), "*.lock").Length);
        scene.Server.Put("datasets/org/d", ("data/deep/a.jsonl", HubScene.Text("{}\n")));
        var file = Assert.Single(scene.Hub().Data("hf:org/d", TestContext.Current.CancellationToken));
        Assert.Equal($"../../../../blobs/{scene.Server.DigestOf(HubScene.Text("{}\n"))}", new FileInfo(file).LinkTarget);
        Assert.True(Directory.Exists(scene.Folder.At("hub", "datasets--org--d")));
    }

    [Fact]
    public void WhereNoLinksMayBeMadeFilesAreCopied()
    {
        scene.PutTiny();
        var snapshot = scene.Hub(links: false).Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken);
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
        Directory.CreateDirectory(Path.Combine(scene.Root, "refs"));
        File.WriteAllText(Path.Combine(scene.Root, "refs", "main"), commit);
        foreach (var address in new[] { "hf:org/tiny", $"hf:org/tiny@{commit}" })
        {
            var snapshot = Offline(HubSelection.Model, address);
            Assert.Equal((commit, 5), (snapshot.Commit, snapshot.Files.Count));
        }
        Assert.Empty(scene.Server.Requests);
        File.Delete(Path.Combine(scene.Root, "blobs", "dd"));
        var refusal = Assert.Throws<InputException>(() => Offline(HubSelection.Model)).Message;
        Assert.Contains("model-00002-of-00002.safetensors", refusal, StringComparison.Ordinal);
        Assert.Contains("polymath hub download hf:org/tiny", refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void AFileThatHuggingFacesLibraryFetchedIsNotFetchedAgain()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a right there");
        var commit = scene.PutTiny();
        var weights = HubScene.Bytes(100_000);
        Link(commit, "model.safetensors", scene.Server.DigestOf(weights), weights);
        scene.Fetch();
        Assert.DoesNotContain(scene.Server.Contents, request => request.Path.EndsWith(".safetensors", StringComparison.Ordinal));
    }

    [Fact]
    public void ALinkOutOfTheCacheIsRefused()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a right there");
        var commit = scene.PutTiny();
        var snapshot = scene.Fetch();
        var pointer = Path.Combine(snapshot.Folder, "config.json");
        File.Delete(pointer);
        File.CreateSymbolicLink(pointer, scene.Folder.Write("secret.json", "{}"));
        Assert.Contains(
            "is a link to a place outside the cache",
            Assert.Throws<InputException>(() => Offline(HubSelection.Model, $"hf:org/tiny@{commit}")).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void OfflineNothingIsAskedAndWhatIsMissingIsTold()
    {
        scene.PutTiny();
        Assert.Contains(
            "polymath hub download hf:org/tiny",
            Assert.Throws<InputException>(() => Offline(HubSelection.Model)).Message,
            StringComparison.Ordinal);
        scene.Hub().Tokenizer("hf:org/tiny", TestContext.Current.CancellationToken);
        scene.Server.Requests.Clear();
        Assert.Equal(["config.json", "tokenizer.json"], Offline(HubSelection.Tokenizer).Files);
        Assert.Contains(
            "model.safetensors is not in the cache",
            Assert.Throws<InputException>(() => Offline(HubSelection.Model)).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "nothing of it is in the cache",
            Assert.Throws<InputException>(() => Offline(HubSelection.Model, "hf:org/tiny@v2")).Message,
            StringComparison.Ordinal);
        Assert.Empty(scene.Server.Requests);
    }

    [Fact]
    public void AHubThatIsDownIsDoneWithoutWhereTheCacheSuffices()
    {
        var commit = scene.PutTiny();
        scene.Fetch();
        scene.Server.Misbehave = _ => new Trouble(503);
        var told = new Listener();
        var snapshot = scene.Hub(watch: told).Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken);
        Assert.Equal(commit, snapshot.Commit);
        Assert.Contains("cannot be reached", Assert.Single(told.Notes), StringComparison.Ordinal);
        scene.Server.Dispose();
        Assert.Contains(
            "the hub cannot be reached",
            Assert.Throws<InputException>(() => scene.Hub().Model("hf:org/other", TestContext.Current.CancellationToken)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void ACacheWhereNoNotesCanBeWrittenIsRead()
    {
        var commit = scene.PutTiny();
        scene.Fetch();
        Directory.Delete(Path.Combine(scene.Root, ".polymath"), true);
        File.WriteAllText(Path.Combine(scene.Root, ".polymath"), "in the way, as a right that is missing would be");
        scene.Server.Requests.Clear();
        Assert.Equal(commit, scene.Fetch().Commit);
        Assert.Empty(scene.Server.Contents);
    }

    [Fact]
    public void ABranchFollowsItsCommitsAndAPinDoesNot()
    {
        var first = scene.PutTiny();
        var pins = new HubPins();
        Assert.Equal(first, scene.Hub(pins: pins).Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken).Commit);
        Assert.Equal(new Dictionary<string, string> { ["hf:org/tiny"] = first }, pins.Commits);
        var second = scene.PutTiny(weights: 90_000);
        Assert.Equal(second, scene.Fetch().Commit);
        Assert.Equal(second, File.ReadAllText(Path.Combine(scene.Root, "refs", "main")));
        scene.Server.Requests.Clear();
        Assert.Equal(
            first,
            scene.Hub(pins: new HubPins(pins.Commits))
                .Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken).Commit);
        Assert.Empty(scene.Server.Requests);
        Directory.Delete(scene.Root, true);
        Assert.Equal(
            first,
            scene.Hub(pins: new HubPins(pins.Commits))
                .Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken).Commit);
    }

    [Fact]
    public void ModelScopesFilesLieAsItsLibraryLaysThem()
    {
        var commit = scene.Server.Put(
            "models/org/ti.ny",
            ("config.json", HubScene.Text("{}")),
            ("model.safetensors", HubScene.Bytes(50_000)),
            ("configuration.json", HubScene.Text("{}")));
        var token = HubToken.Of("ms-secret", "MODELSCOPE_API_TOKEN");
        var folder = scene.Hub(token: token).Model("modelscope:org/ti.ny", TestContext.Current.CancellationToken);
        Assert.Equal(scene.Folder.At("scope", "models", "org", "ti___ny"), folder);
        Assert.Equal(["config.json", "model.safetensors"], Directory.GetFiles(folder).Select(Path.GetFileName).Order());
        Assert.All(scene.Server.Requests, request => Assert.Equal("m_session_id=ms-secret", request.Headers["cookie"]));
        Assert.Equal(folder, scene.Hub(offline: true).Model("modelscope:org/ti.ny", TestContext.Current.CancellationToken));
        var pinned = scene.Hub();
        Assert.Equal(folder, pinned.Model("modelscope:org/ti.ny", TestContext.Current.CancellationToken));
        Assert.Equal(commit, pinned.Pins.Commits["modelscope:org/ti.ny"]);
        // Files from ModelScope's library are used when they are the same, and replaced when not.
        Directory.Delete(scene.Folder.At("scope", ".polymath"), true);
        File.WriteAllText(Path.Combine(folder, "config.json"), "[]");
        scene.Server.Requests.Clear();
        Assert.Equal(folder, scene.Hub().Model("modelscope:org/ti.ny", TestContext.Current.CancellationToken));
        Assert.Equal("{}", File.ReadAllText(Path.Combine(folder, "config.json")));
        Assert.Single(scene.Server.Contents);
    }

    [Fact]
    public void ModelScopesDataIsListedPageByPage()
    {
        scene.Server.Put("datasets/org/many", [.. Enumerable.Range(0, 250)
            .Select(i => ($"part/{i:D3}.jsonl", HubScene.Text($"{{\"text\": \"{i}\"}}\n")))]);
        var files = scene.Hub().Data("modelscope:org/many/part/1*.jsonl", TestContext.Current.CancellationToken);
        Assert.Equal(100, files.Count);
        Assert.Equal(scene.Folder.At("scope", "datasets", "org", "many", "part", "100.jsonl"), files[0]);
        Assert.Equal(3, scene.Server.Requests.Count(request => request.Path.EndsWith("/tree", StringComparison.Ordinal)));
    }

    [Fact]
    public void WhatIsCachedIsTold()
    {
        var commit = scene.PutTiny();
        scene.Fetch();
        File.WriteAllText(Path.Combine(scene.Root, "blobs", "x.incomplete"), "1234");
        scene.Server.Put("models/org/scoped", ("config.json", HubScene.Text("{}")), ("model.safetensors", HubScene.Bytes(5000)));
        scene.Hub().Model("modelscope:org/scoped", TestContext.Current.CancellationToken);
        var cached = scene.Hub(offline: true).Cached();
        Assert.Equal(["hf:org/tiny", "modelscope:org/scoped"], cached.Select(each => each.Source));
        Assert.Equal((100_000 + 2 + 23, 4), (cached[0].Bytes, cached[0].IncompleteBytes));
        Assert.Equal(["main"], cached[0].Revisions[commit]);
        Assert.Equal(5002, cached[1].Bytes);
    }

    private void Link(string commit, string name, string digest, object content)
    {
        var blobs = Directory.CreateDirectory(Path.Combine(scene.Root, "blobs")).FullName;
        var snapshot = Directory.CreateDirectory(Path.Combine(scene.Root, "snapshots", commit)).FullName;
        File.WriteAllBytes(Path.Combine(blobs, digest), content as byte[] ?? HubScene.Text((string)content));
        File.CreateSymbolicLink(Path.Combine(snapshot, name), $"../../blobs/{digest}");
    }

    private sealed class Listener : HubWatch
    {
        public List<string> Notes { get; } = [];

        public override void Note(string text) => Notes.Add(text);
    }
}
