using System.Text.Json;
using Polymath.Models;
using Polymath.Tensors.Files;
using Polymath.Tests.Models;
using static TorchSharp.torch;

namespace Polymath.Tests.Peers;

/// <summary>
/// The suite <c>fresh</c>: writes a fresh model of every family, with logits, into the folder that <c>POLYMATH_FRESH</c> names, for
/// <c>tests/peers/fresh_check.py</c>, which loads them with transformers; and a configuration of each, for <c>make_initial.py</c>.
/// </summary>
[Trait("kind", "parity"), Trait("suite", "fresh")]
public sealed class FreshFolderTests
{
    private static readonly JsonSerializerOptions indented = new() { WriteIndented = true };

    [Fact(Explicit = true)]
    public void Every_family_is_written_for_transformers_to_load()
    {
        var folder = Environment.GetEnvironmentVariable("POLYMATH_FRESH") ?? "";
        Assert.True(folder.Length > 0, "POLYMATH_FRESH names no folder to write to.");
        Directory.CreateDirectory(Path.Combine(folder, "configurations"));
        foreach (var family in FreshFamily.Names)
        {
            var at = Path.Combine(folder, family);
            using var model = TinyFamilies.Make(family);
            ModelFolder.Save(model, at);
            var spec = TinyFamilies.Spec(family) with { HiddenSize = 64, IntermediateSize = family == "bloom" ? 256 : 128 };
            File.WriteAllText(
                Path.Combine(folder, "configurations", family + ".json"),
                FreshFamily.Configure(spec, 300, 0, 1).ToJsonString(indented));
            using var frozen = no_grad();
            using var scope = NewDisposeScope();
            using var batch = TinyFamilies.Batch(model);
            var wide = batch.Source ?? batch;
            SafetensorsWriter.Write(Path.Combine(at, "logits.safetensors"), new Dictionary<string, Tensor>
            {
                ["ids"] = tensor(Array.ConvertAll(wide.TokenIds, id => (long)id)),
                ["offsets"] = tensor(Array.ConvertAll(wide.Offsets, at => (long)at)),
                ["answers"] = tensor(Array.ConvertAll(batch.TokenIds, id => (long)id)),
                ["answer_offsets"] = tensor(Array.ConvertAll(batch.Offsets, at => (long)at)),
                ["logits"] = model.Unembed(model.Hidden(batch)),
            });
        }
    }
}
