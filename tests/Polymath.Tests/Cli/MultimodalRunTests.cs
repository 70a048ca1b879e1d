using Polymath.Models;
using Polymath.Tests.Models;
using Polymath.Tests.Text;
using Polymath.Tuning;

namespace Polymath.Tests.Cli;

/// <summary>The weights of a multimodal model's other parts come through conversion, merging and a stage.</summary>
[Trait("kind", "invariant")]
public sealed class MultimodalRunTests
{
    private static void OnlyTheTextChanged(string before, string after, bool changed)
    {
        var (old, made) = (MultimodalFolder.Content(before), MultimodalFolder.Content(after));
        Assert.Equal(old.Keys.Order(), made.Keys.Order());
        Assert.All(old.Where(pair => MultimodalFolder.IsOther(pair.Key)), pair => Assert.Equal(pair.Value, made[pair.Key]));
        Assert.Equal(changed, old.Any(pair => pair.Value != made[pair.Key]));
        Assert.Equal(MultimodalFolder.Settings, File.ReadAllText(Path.Combine(after, MultimodalFolder.Processor)));
    }

    [Fact]
    public void They_come_through_conversion_and_merging()
    {
        using var folder = new ScratchFolder();
        using var model = new ScratchFolder();
        MultimodalFolder.Write(model, "gemma3");
        var converted = CliProgram.Run(folder.Path, "model", "convert", model.Path, "--output", "converted");
        Assert.True(converted.Code == 0, converted.All);
        Assert.Contains("left aside", converted.All);
        OnlyTheTextChanged(model.Path, folder.At("converted"), changed: false);
        using (var opened = ModelFolder.Open(model.Path))
        using (var set = DeltaSet.Fresh(opened, new Polymath.Recipes.DeltaSpec(Polymath.Recipes.DeltaForm.Lora), 1))
        {
            foreach (var weight in set.Weights) weight.Assign(weight.Value + 0.1);
            set.Save(folder.At("adapter"));
        }
        var merged = CliProgram.Run(folder.Path, "adapter", "merge", model.Path, "--adapter", "adapter", "--output", "merged");
        Assert.True(merged.Code == 0, merged.All);
        OnlyTheTextChanged(model.Path, folder.At("merged"), changed: true);
        var taken = CliProgram.Run(folder.Path, "adapter", "unmerge", "merged", "--adapter", "adapter", "--output", "taken");
        Assert.True(taken.Code == 0, taken.All);
        OnlyTheTextChanged(model.Path, folder.At("taken"), changed: true);
    }

    [Fact]
    public void They_come_through_a_stage()
    {
        using var first = new TinyRecipe(tiny => tiny.With("model", "{family: ministral3, hiddenSize: 32, intermediateSize: 48, layers: 1, "
            + "heads: 2, keyValueHeads: 2, headWidth: 16, contextLength: 48}"));
        var made = first.Run("made", "--stop-after-step", "8");
        Assert.True(made.Code == 0, made.All);
        var from = first.At("made", "stages", "01-read", "model");
        using var folder = new ScratchFolder();
        MultimodalFolder.Write(folder, "mistral3", from);
        CompanionFiles.Copy(from, folder.Path);
        using var second = new TinyRecipe(tiny => tiny.Without("tokenizer").With("model", $"{{folder: '{folder.Path}'}}"));
        var run = second.Run("whole", "--stop-after-step", "14");
        Assert.True(run.Code == 0, run.All);
        OnlyTheTextChanged(folder.Path, second.At("whole", "stages", "01-read", "model"), changed: true);
        OnlyTheTextChanged(folder.Path, second.At("whole", "stages", "02-write", "model"), changed: true);
    }
}
