using System.Globalization;
using Polymath.Recipes;
using Polymath.Text.Hubs;

namespace Polymath.Tests.Text.Hubs;

/// <summary>A file arrives whole and right or not at all, whatever the hub and the network do.</summary>
[Trait("kind", "unit")]
public sealed class HubTransferTests : IDisposable
{
    private readonly HubScene scene = new();

    public void Dispose() => scene.Dispose();

    private void Holds(HubSnapshot snapshot, int weights = 100_000)
    {
        Assert.Equal(["config.json", "model.safetensors", "tokenizer.json"], snapshot.Files);
        Assert.Equal(HubScene.Bytes(weights), File.ReadAllBytes(Path.Combine(snapshot.Folder, "model.safetensors")));
        Assert.Empty(scene.Left("*.incomplete*"));
    }

    // Longer than any test takes on any machine: a test that waited so long would never end.
    private static readonly TimeSpan Forever = TimeSpan.FromMinutes(30);

    [Fact]
    public void LargeFilesComeInSeveralRanges()
    {
        scene.PutTiny();
        Holds(scene.Fetch());
        var ranges = scene.Server.Contents.Where(request => request.Path.EndsWith("model.safetensors", StringComparison.Ordinal))
            .Select(request => request.Range).Order();
        Assert.Equal(["bytes=0-24999", "bytes=25000-49999", "bytes=50000-74999", "bytes=75000-99999"], ranges);
        Assert.DoesNotContain(scene.Server.Contents, request => request.Path.Contains("onnx", StringComparison.Ordinal)
            || request.Path.EndsWith(".bin", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void ACutConnectionIsGoneOnFrom(int ranges)
    {
        scene.PutTiny();
        scene.Transfer = scene.Transfer with { Ranges = ranges };
        var cuts = 0;
        scene.Server.Misbehave = request => request.Path.EndsWith(".safetensors", StringComparison.Ordinal)
            && Interlocked.Increment(ref cuts) <= 6 ? new Trouble(CutAfter: 9000) : null;
        Holds(scene.Fetch());
        Assert.True(scene.Server.Contents.Count() > 6);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void WhatAnEndedClientLeftIsGoneOnFrom(int ranges)
    {
        scene.PutTiny();
        scene.Transfer = scene.Transfer with { Ranges = ranges, Attempts = 1 };
        scene.Server.Misbehave = request =>
            request.Path.EndsWith(".safetensors", StringComparison.Ordinal) ? new Trouble(CutAfter: 9000) : null;
        Assert.Contains("What has arrived is kept", scene.Refusal(), StringComparison.Ordinal);
        var left = scene.Left(scene.Server.DigestOf(HubScene.Bytes(100_000)) + ".incomplete").Single();
        var arrived = PartialFile.Arrived(left, 100_000);
        Assert.InRange(arrived, 9000, 9000 * ranges);
        Assert.False(Directory.Exists(Path.Combine(scene.Root, "snapshots")));
        scene.Server.Misbehave = _ => null;
        scene.Server.Requests.Clear();
        Holds(scene.Fetch());
        var asked = scene.Server.Contents.Where(request => request.Path.EndsWith(".safetensors", StringComparison.Ordinal))
            .Sum(request => long.Parse(request.Range!.Split('-')[1], CultureInfo.InvariantCulture)
                - long.Parse(request.Range.Split('-', '=')[1], CultureInfo.InvariantCulture) + 1);
        Assert.Equal(100_000 - arrived, asked);
    }

    [Fact]
    public void WhatAKilledProcessLeftWithANoteThatLagsOrIsBrokenIsSetRight()
    {
        scene.PutTiny();
        var weights = HubScene.Bytes(100_000);
        var blob = Path.Combine(scene.Root, "blobs", scene.Server.DigestOf(weights) + ".incomplete");
        foreach (var note in new[]
        {
            "[[0,50000,10000],[50000,100000,60000]]", "[[0,50000,", "[[0,50000,10000]]", "[[0,50000,60000],[50000,100000,50000]]", null,
        })
        {
            if (Directory.Exists(scene.Cache)) Directory.Delete(scene.Cache, true);
            Directory.CreateDirectory(Path.GetDirectoryName(blob)!);
            File.WriteAllBytes(blob, weights[..70_000]);
            if (note is not null) File.WriteAllText(blob + ".ranges", note);
            Holds(scene.Fetch());
        }
    }

    [Fact]
    public void AWrongHashIsFetchedOnceMore()
    {
        scene.PutTiny();
        var wrong = 0;
        scene.Server.Misbehave = request => request.Path.EndsWith("config.json", StringComparison.Ordinal) && wrong++ == 0
            ? new Trouble(Content: HubScene.Text("{\"model_type\": \"llamb\"}"))
            : null;
        Holds(scene.Fetch());
        Assert.Equal(2, wrong);
    }

    [Theory]
    [InlineData("config.json", "{\"model_type\": \"llamb\"}")]
    [InlineData("model.safetensors", null)]
    public void AHashThatStaysWrongIsRefusedAndNothingIsKept(string file, string? text)
    {
        scene.PutTiny();
        var wrong = text is null ? HubScene.Bytes(100_000, 9) : HubScene.Text(text);
        scene.Server.Misbehave = request => request.Path.EndsWith(file, StringComparison.Ordinal) ? new Trouble(Content: wrong) : null;
        var refusal = scene.Refusal();
        Assert.Contains($"'{file}' of hf:org/tiny was damaged in transfer, twice", refusal, StringComparison.Ordinal);
        var digest = scene.Server.DigestOf(text is null ? HubScene.Bytes(100_000) : HubScene.Text("{\"model_type\": \"llama\"}"));
        Assert.Contains(digest, refusal, StringComparison.Ordinal);
        Assert.DoesNotContain(scene.Left(digest + "*"), left => !left.EndsWith(".lock", StringComparison.Ordinal));
        Assert.False(Directory.Exists(Path.Combine(scene.Root, "snapshots")));
    }

    [Fact]
    public void AHubWithoutRangesIsReadWhole()
    {
        scene.PutTiny();
        var cuts = 0;
        scene.Server.Misbehave = request => new Trouble(
            NoRanges: true,
            CutAfter: request.Path.EndsWith(".safetensors", StringComparison.Ordinal) && request.Range is null && cuts++ == 0
                ? 30_000
                : null);
        Holds(scene.Fetch());
    }

    [Fact]
    public void ASlowBodyIsAskedForAgain()
    {
        scene.PutTiny();
        scene.Transfer = scene.Transfer with { StallSeconds = 1 };
        var stalls = 0;
        scene.Server.Misbehave = request => request.Path.EndsWith(".safetensors", StringComparison.Ordinal)
            && Interlocked.Increment(ref stalls) <= 4 ? new Trouble(PauseAfter: 8192, Pause: Forever) : null;
        Holds(scene.Fetch());
        Assert.True(stalls > 1);
    }

    [Fact]
    public void ATooBusyHubIsWaitedForAsLongAsItAsks()
    {
        scene.PutTiny();
        var busy = 0;
        scene.Server.Misbehave = _ => busy++ switch
        {
            0 => new Trouble(429, "Retry-After: 1\r\n"),
            1 => new Trouble(503, $"Retry-After: {DateTimeOffset.UtcNow.AddHours(1):R}\r\n"),
            2 => new Trouble(500),
            _ => null,
        };
        var started = TimeProvider.System.GetTimestamp();
        Holds(scene.Fetch());
        // It does not wait an hour, but at most the second that the settings allow.
        Assert.InRange(TimeProvider.System.GetElapsedTime(started), TimeSpan.FromSeconds(1.9), Forever);
    }

    [Fact]
    public void AHubThatStaysBusyIsGivenUp()
    {
        scene.PutTiny();
        scene.Server.Misbehave = _ => new Trouble(503);
        Assert.Contains("answered 503", scene.Refusal(), StringComparison.Ordinal);
        Assert.Equal(4, scene.Server.Requests.Count);
    }

    [Fact]
    public void TwoClientsAtOnceFetchEachFileOnce()
    {
        scene.PutTiny();
        scene.Server.Misbehave = request => request.IsContent ? new Trouble(PauseAfter: 4096, Pause: TimeSpan.FromMilliseconds(10)) : null;
        var token = TestContext.Current.CancellationToken;
        var all = new HubSnapshot[4];
        Parallel.For(
            0,
            all.Length,
            new ParallelOptions { CancellationToken = token },
            i => all[i] = scene.Hub().Fetch(HubScene.Tiny, HubSelection.Model, token));
        Assert.All(all, snapshot => Holds(snapshot));
        Assert.Equal(6, scene.Server.Contents.Count());
    }

    [Fact]
    public async Task StoppingLeavesWhatArrivedAndNothingHalf()
    {
        scene.PutTiny();
        scene.Server.Misbehave = request =>
            request.Path.EndsWith(".safetensors", StringComparison.Ordinal) ? new Trouble(PauseAfter: 8192, Pause: Forever) : null;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var work = Task.Run(() => scene.Hub().Fetch(HubScene.Tiny, HubSelection.Model, stop.Token), TestContext.Current.CancellationToken);
        while (!scene.Left("*.incomplete").Any(file => new FileInfo(file).Length > 8000))
            await Task.Delay(20, TestContext.Current.CancellationToken);
        await stop.CancelAsync();
        Assert.Contains(
            "continues from there",
            (await Assert.ThrowsAnyAsync<OperationCanceledException>(() => work)).Message,
            StringComparison.Ordinal);
        Assert.NotEmpty(scene.Left("*.incomplete"));
        Assert.False(Directory.Exists(Path.Combine(scene.Root, "snapshots")));
        scene.Server.Misbehave = _ => null;
        Holds(scene.Fetch());
    }

    [Fact]
    public void AFullDiskIsFoundOutBeforehand()
    {
        scene.PutTiny();
        var hub = scene.Hub(room: _ => 50_000);
        var refusal = Assert.Throws<InputException>(
            () => hub.Fetch(HubScene.Tiny, HubSelection.Model, TestContext.Current.CancellationToken)).Message;
        Assert.Contains("needs 0.1 MB", refusal, StringComparison.Ordinal);
        Assert.Contains("HF_HUB_CACHE", refusal, StringComparison.Ordinal);
        Assert.DoesNotContain(scene.Server.Contents, request => request.Path.EndsWith(".safetensors", StringComparison.Ordinal));
    }
}
