using Polymath.Recipes;
using Polymath.Text.Hubs;

namespace Polymath.Tests.Text.Hubs;

/// <summary>Access rights, the use of tokens, and the names that are accepted from a hub.</summary>
[Trait("kind", "unit")]
public sealed class HubAccessTests : IDisposable
{
    private const string Secret = "hf_verySecretToken";
    private readonly HubScene scene = new();

    public void Dispose() => scene.Dispose();

    private static HubToken Token => HubToken.Of(Secret, "HF_TOKEN")!;

    private string Refusal(HubToken? token = null, string address = "hf:org/tiny") =>
        Assert.Throws<InputException>(() => scene.Hub(token: token)
            .Fetch(HubAddress.ParseModel(address), HubSelection.Model, TestContext.Current.CancellationToken)).Message;

    [Fact]
    public void ATokenGoesToTheHubAndNeverAlongARedirection()
    {
        scene.PutTiny();
        using var other = new HubServer();
        other.PutFolderOf(scene.Server, "models/org/tiny");
        scene.Server.Misbehave = request =>
            request.IsContent ? new Trouble(302, $"Location: {other.Endpoint}{request.Path[1..]}?signed=1\r\n") : null;
        var snapshot = scene.Hub(token: Token).Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken);
        Assert.Equal(HubScene.Bytes(100_000), File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
        Assert.All(scene.Server.Requests, request => Assert.Equal("Bearer " + Secret, request.Headers["authorization"]));
        Assert.NotEmpty(other.Requests);
        Assert.All(
            other.Requests,
            request => Assert.DoesNotContain(request.Headers, header => header.Value.Contains(Secret, StringComparison.Ordinal)));
        // Ranges go along.
        Assert.Contains(other.Requests, request => request.Range == "bytes=25000-49999");
    }

    [Fact]
    public void ARedirectionOnTheSameHubKeepsTheToken()
    {
        scene.PutTiny();
        scene.Server.Misbehave = request => request.Path switch
        {
            "/api/models/org/old/revision/main" => new Trouble(307, "Location: /api/models/org/tiny/revision/main?blobs=true\r\n"),
            var path when path.StartsWith("/org/old/", StringComparison.Ordinal) =>
                new Trouble(307, $"Location: {path.Replace("/old/", "/tiny/", StringComparison.Ordinal)}\r\n"),
            _ => null,
        };
        Assert.Equal(
            3,
            scene.Hub(token: Token)
                .Fetch(HubAddress.ParseModel("hf:org/old"), HubSelection.Model, TestContext.Current.CancellationToken).Files.Count);
        Assert.All(scene.Server.Requests, request => Assert.Equal("Bearer " + Secret, request.Headers["authorization"]));
        scene.Server.Misbehave = _ => new Trouble(302, "Location: /round\r\n");
        Assert.Contains("redirects more than", Refusal(), StringComparison.Ordinal);
        scene.Server.Misbehave = _ => new Trouble(302, "Location: file:///etc/passwd\r\n");
        Assert.Contains("not followed", Refusal(), StringComparison.Ordinal);
    }

    [Fact]
    public void ATokenIsNeverShown()
    {
        var settings = new HubSettings(new HubPlace(scene.Server.Endpoint, "a", Token), new HubPlace(scene.Server.Endpoint, "b", Token));
        Assert.DoesNotContain(Secret, settings.ToString(), StringComparison.Ordinal);
        scene.Server.Misbehave = _ => new Trouble(401);
        Assert.DoesNotContain(Secret, Refusal(Token), StringComparison.Ordinal);
        Assert.DoesNotContain(
            Secret, Assert.Throws<InputException>(() => HubToken.Of(Secret + "\r\nX: y", "HF_TOKEN")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatMayNotBeReadIsToldWithWhatToDo()
    {
        scene.PutTiny();
        scene.Server.Misbehave = _ => new Trouble(401);
        Assert.Contains("set HF_TOKEN", Refusal(), StringComparison.Ordinal);
        Assert.Contains("another token", Refusal(Token), StringComparison.Ordinal);
        scene.Server.Misbehave = _ => new Trouble(403, "X-Error-Code: GatedRepo\r\n");
        Assert.Contains($"Accept it at {scene.Server.Endpoint}org/tiny", Refusal(Token), StringComparison.Ordinal);
        scene.Server.Misbehave = request => request.IsContent ? new Trouble(403, "X-Error-Code: GatedRepo\r\n") : null;
        Assert.Contains("only for those who accepted its licence", Refusal(Token), StringComparison.Ordinal);
        // Files and their ranges are fetched at the same time, and the first refusal ends all of them: none is requested twice.
        var asked = scene.Server.Requests.Where(request => request.IsContent)
            .Select(request => (request.Method, request.Path, request.Range)).ToList();
        Assert.NotEmpty(asked);
        Assert.Distinct(asked);
    }

    [Fact]
    public void WhatIsNotThereIsToldWithWhatWasTried()
    {
        scene.PutTiny();
        Assert.Contains("there is no repository hf:org/tyni", Refusal(address: "hf:org/tyni"), StringComparison.Ordinal);
        Assert.Contains("no revision 'v9'", Refusal(address: "hf:org/tiny@v9"), StringComparison.Ordinal);
        Assert.Contains("/api/models/org/tiny/revision/v9", Refusal(address: "hf:org/tiny@v9"), StringComparison.Ordinal);
        scene.Server.Misbehave = request => request.IsContent ? new Trouble(404) : null;
        Assert.Contains("is listed but missing", Refusal(), StringComparison.Ordinal);
        scene.Server.Misbehave = _ => null;
        scene.Server.Put("models/org/gguf", ("tiny.gguf", HubScene.Bytes(2000)));
        Assert.Contains("It holds tiny.gguf", Refusal(address: "hf:org/gguf"), StringComparison.Ordinal);
        scene.Server.Put("models/org/gguf", ("config.json", HubScene.Text("{}")), ("tiny.gguf", HubScene.Bytes(2000)));
        Assert.Contains("no weights that can be read", Refusal(address: "hf:org/gguf"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../evil.json")]
    [InlineData("a/../../evil.json")]
    [InlineData("/etc/evil.json")]
    [InlineData("a\\..\\evil.json")]
    [InlineData("C:/evil.json")]
    [InlineData("C:evil.json")]
    [InlineData("a//evil.json")]
    [InlineData("./evil.json")]
    [InlineData("evil\0.json")]
    [InlineData("evil\u001b[2J.json")]
    [InlineData("")]
    public void NamesThatLeadOutsideAreRefusedBeforeAnythingIsWritten(string name)
    {
        scene.Server.Put(
            "models/org/tiny",
            ("config.json", HubScene.Text("{}")),
            (name, HubScene.Text("evil")),
            ("model.safetensors", HubScene.Bytes(2000)));
        var refusal = scene.Refusal();
        Assert.Contains("Nothing was fetched", refusal, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', refusal);
        Assert.Empty(scene.Server.Contents);
        Assert.Empty(Directory.EnumerateFileSystemEntries(scene.Folder.Path));
    }

    [Fact]
    public void ALinkInTheWayIsNotFollowed()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a right there");
        var commit = scene.Server.Put("datasets/org/d", ("sub/a.jsonl", HubScene.Text("{\"text\": \"a\"}\n")));
        var outside = Directory.CreateDirectory(scene.Folder.At("outside")).FullName;
        var snapshot = Directory.CreateDirectory(scene.Folder.At("hub", "datasets--org--d", "snapshots", commit)).FullName;
        Directory.CreateSymbolicLink(Path.Combine(snapshot, "sub"), outside);
        Assert.Contains(
            "a link",
            Assert.Throws<InputException>(() => scene.Hub().Data("hf:org/d", TestContext.Current.CancellationToken)).Message,
            StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(outside));
    }

    [Fact]
    public void WhatIsNoHubIsToldApart()
    {
        scene.Server.Misbehave = _ => new Trouble(200, Content: HubScene.Text("<html>welcome</html>"));
        Assert.Contains("does not answer as a hub does", Refusal(), StringComparison.Ordinal);
        scene.Server.Misbehave = _ => new Trouble(200, Content: HubScene.Text("{\"sha\": \"../../x\", \"siblings\": []}"));
        Assert.Contains("does not answer as a hub does", Refusal(), StringComparison.Ordinal);
        scene.Server.Misbehave = _ => new Trouble(200, Content: new byte[65 << 20]);
        Assert.Contains("more than any listing", Refusal(), StringComparison.Ordinal);
    }

    [Fact]
    public void AMirrorThatListsNamesAloneIsAskedForTheRest()
    {
        scene.PutTiny();
        var commit = HubServer.CommitOf("mirror");
        const string Names = """[{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}]""";
        string PutTwo() =>
            scene.Server.Put("models/org/tiny", ("config.json", HubScene.Text("{}")), ("model.safetensors", HubScene.Bytes(5000)));
        PutTwo();
        scene.Server.Misbehave = request => request.Path.StartsWith("/api/", StringComparison.Ordinal)
            ? new Trouble(200, Content: HubScene.Text($$"""{"sha": "{{PutTwo()}}", "siblings": {{Names}}}"""))
            : null;
        Assert.NotEqual(commit, scene.Fetch().Commit);
        Assert.True(File.Exists(Path.Combine(scene.Root, "blobs", scene.Server.DigestOf(HubScene.Bytes(5000)))));
    }
}
