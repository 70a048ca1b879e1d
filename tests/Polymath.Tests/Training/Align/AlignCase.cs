using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>
/// A reference case: <c>reference.json</c> with settings, rows and numbers, <c>reference.safetensors</c> with gradients. The folder is the
/// one of the fixtures, or <c>align</c> within the one that <c>POLYMATH_CASES</c> names.
/// </summary>
internal sealed class AlignCase : IDisposable
{
    private readonly Lazy<SafetensorsFile> tensors;

    public AlignCase(string name)
    {
        Name = name;
        Folder = Path.Combine(Root, name);
        Json = JsonNode.Parse(File.ReadAllBytes(Path.Combine(Folder, "reference.json")))!.AsObject();
        tensors = new(() => SafetensorsFile.Open(Path.Combine(Folder, "reference.safetensors")));
    }

    public static string Root { get; } = Environment.GetEnvironmentVariable("POLYMATH_CASES") is { Length: > 0 } folder
        ? Path.Combine(Path.GetFullPath(folder), "align")
        : TextFixtures.At("align");

    public static IEnumerable<string> Names => Directory.GetDirectories(Root)
        .Where(folder => File.Exists(Path.Combine(folder, "reference.json")))
        .Select(folder => Path.GetFileName(folder)).Order(StringComparer.Ordinal);

    /// <summary>A model folder beside or within the cases; the fixtures' own where there is none.</summary>
    public static string Model(string name)
    {
        var parts = name == "llama" ? new[] { "models", name } : ["align", "models", name];
        var beside = Path.Combine([Path.GetDirectoryName(Root)!, .. parts]);
        return Directory.Exists(beside) ? beside : TextFixtures.At(parts);
    }

    public string Name { get; }

    public string Folder { get; }

    public JsonObject Json { get; }

    public JsonObject Settings => Json["settings"]!.AsObject();

    public IReadOnlyList<JsonObject> Rows => Objects(Json["rows"]!);

    public SafetensorsFile Tensors => tensors.Value;

    /// <summary>The part of the name before the first dash; two parts for runs, adapters and online training.</summary>
    public string Family
    {
        get
        {
            var parts = Name.Split('-');
            return parts[0] is "train" or "lora" or "online" ? $"{parts[0]}-{parts[1]}" : parts[0];
        }
    }

    public bool Has(string setting) => Settings[setting] is not null;

    public double Number(string setting, double otherwise = 0) => Settings[setting] is { } value ? NumberOf(value) : otherwise;

    public string Text(string setting) => Settings[setting]!.ToString();

    public bool Flag(string setting) => Settings[setting] is { } value && value.GetValue<bool>();

    public static IReadOnlyList<JsonObject> Objects(JsonNode node) => [.. node.AsArray().Select(row => row!.AsObject())];

    public static int[] Ids(JsonNode? node) => [.. node!.AsArray().Select(id => id!.GetValue<int>())];

    public static double NumberOf(JsonNode? node) => node?.GetValueKind() switch
    {
        null or JsonValueKind.Null => double.NaN,
        JsonValueKind.True => 1,
        JsonValueKind.False => 0,
        JsonValueKind.String => double.Parse(node.ToString(), CultureInfo.InvariantCulture),
        _ => node.GetValue<double>(),
    };

    /// <summary>The numbers of a list, or of lists end to end.</summary>
    public static double[] Numbers(JsonNode? node) =>
        node is JsonArray list ? [.. list.SelectMany(Numbers)] : [NumberOf(node)];

    /// <summary>A list of numbers for each row.</summary>
    public double[][] PerRow(string name) => [.. Json["per_row"]![name]!.AsArray().Select(Numbers)];

    /// <summary>A flat tensor of the numbers of <c>per_row</c>.</summary>
    public Tensor Values(string name) => Floats(Numbers(Json["per_row"]![name]));

    public static Tensor Floats(IEnumerable<double> values) => tensor(values.Select(value => (float)value).ToArray());

    public void Dispose()
    {
        if (tensors.IsValueCreated) Tensors.Dispose();
    }
}
