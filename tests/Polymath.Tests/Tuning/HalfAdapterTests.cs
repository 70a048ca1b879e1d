using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>
/// PEFT's files in 16 bits, as it writes them of a model that is held so: what is loaded are the numbers of the file, in 32 bits, and it is
/// saved in 32 bits.
/// </summary>
[Trait("kind", "unit")]
public sealed class HalfAdapterTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string, bool> Cases
    {
        get
        {
            var cases = new TheoryData<string, bool>();
            foreach (var place in new[] { TextFixtures.At("adapters"), TextFixtures.At("own", "adapters") }
                .SelectMany(Directory.GetDirectories)
                .Where(place => File.Exists(Path.Combine(place, "adapter_config.json")))
                .Order(StringComparer.Ordinal))
            {
                cases.Add(Path.GetRelativePath(TextFixtures.At(), place), false);
                cases.Add(Path.GetRelativePath(TextFixtures.At(), place), true);
            }
            return cases;
        }
    }

    private string Rounded(string adapter, ScalarType half, bool again)
    {
        var place = folder.At(again ? "again" : "half");
        Directory.CreateDirectory(place);
        File.Copy(Path.Combine(adapter, "adapter_config.json"), Path.Combine(place, "adapter_config.json"));
        using var scope = NewDisposeScope();
        using var file = WeightFile.OpenAny(DeltaSet.AdapterFile(adapter));
        SafetensorsWriter.Write(Path.Combine(place, "adapter_model.safetensors"), file.Entries.Keys.ToDictionary(
            name => name, name => Narrowed(file.Map(name))));
        return place;

        Tensor Narrowed(Tensor held)
        {
            if (held.dtype != ScalarType.Float32) return held;
            return again ? held.to(half).to(ScalarType.Float32) : held.to(half);
        }
    }

    private string Saved(LanguageModel model, string place, string name)
    {
        using var set = DeltaSet.Load(model, place);
        Assert.NotEmpty(set.Trained);
        Assert.All(set.Trained, item => Assert.Equal(ScalarType.Float32, item.Weight.Value.dtype));
        Directory.CreateDirectory(folder.At(name));
        set.Save(folder.At(name));
        return folder.At(name, "adapter_model.safetensors");
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_file_of_sixteen_bits_is_what_its_numbers_say(string adapter, bool brain)
    {
        var place = TextFixtures.At(adapter);
        var half = brain ? ScalarType.BFloat16 : ScalarType.Float16;
        var basis = JsonNode.Parse(File.ReadAllBytes(Path.Combine(place, "reference.json")))!["base"]!.ToString();
        using var model = ModelFolder.Open(
            new[] { TextFixtures.At("models", basis), TextFixtures.At("families", basis), TextFixtures.At("own", "models", basis) }
                .First(Directory.Exists));
        using SafetensorsFile ours = SafetensorsFile.Open(Saved(model, Rounded(place, half, again: false), "ours")),
            wide = SafetensorsFile.Open(Saved(model, Rounded(place, half, again: true), "wide"));
        Assert.Equal(wide.Entries.Keys.Order(StringComparer.Ordinal), ours.Entries.Keys.Order(StringComparer.Ordinal));
        using var scope = NewDisposeScope();
        foreach (var name in wide.Entries.Keys)
        {
            Assert.Equal(wide.Entries[name].Kind, ours.Entries[name].Kind);
            Assert.True(wide.Map(name).eq(ours.Map(name)).all().item<bool>(), name);
        }
    }
}
