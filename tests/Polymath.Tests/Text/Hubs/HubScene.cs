using System.Text;
using Polymath.Recipes;
using Polymath.Text.Hubs;

namespace Polymath.Tests.Text.Hubs;

/// <summary>A hub with its own cache, and clients.</summary>
internal sealed class HubScene : IDisposable
{
    public static readonly HubAddress Tiny = HubAddress.ParseModel("hf:org/tiny");

    public HubServer Server { get; init; } = new();

    public ScratchFolder Folder { get; } = new();

    public TransferSettings Transfer { get; set; } = new(
        Attempts: 4, BackoffSeconds: 0.01, LongestWaitSeconds: 1, StallSeconds: 120, RangeBytes: 20_000);

    public string Cache => Folder.At("hub");

    public string Root => Folder.At("hub", "models--org--tiny");

    public static byte[] Bytes(int count, int seed = 1)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public static byte[] Text(string text) => Encoding.UTF8.GetBytes(text);

    /// <summary>A repository of a small configuration, a tokenizer and weights, with many files that are not needed.</summary>
    public string PutTiny(int weights = 100_000) => Server.Put(
        "models/org/tiny",
        ("config.json", Text("{\"model_type\": \"llama\"}")),
        ("tokenizer.json", Text("{}")),
        ("model.safetensors", Bytes(weights)),
        ("pytorch_model.bin", Bytes(weights, 2)),
        ("onnx/model.onnx", Bytes(3000, 3)),
        ("tf_model.h5", Bytes(3000, 4)),
        ("flax_model.msgpack", Bytes(3000, 5)),
        ("tiny.gguf", Bytes(3000, 6)),
        ("README.md", Text("hello")));

    public Hub Hub(
        bool offline = false,
        HubToken? token = null,
        bool links = true,
        HubPins? pins = null,
        HubWatch? watch = null,
        Func<string, long>? room = null)
    {
        var settings = new HubSettings(
            new HubPlace(Server.Endpoint, Cache, token),
            new HubPlace(Server.Endpoint, Folder.At("scope"), token),
            offline,
            links,
            Transfer);
        return room is null ? new Hub(settings, pins, watch) : new Hub(settings, pins, watch) { Room = room };
    }

    public HubSnapshot Fetch() => Hub().Fetch(Tiny, HubSelection.Model, TestContext.Current.CancellationToken);

    public string Refusal() => Assert.Throws<InputException>(Fetch).Message;

    public IEnumerable<string> Left(string pattern) =>
        Directory.Exists(Cache) ? Directory.EnumerateFiles(Cache, pattern, SearchOption.AllDirectories) : [];

    public void Dispose()
    {
        Server.Dispose();
        Folder.Dispose();
    }
}
