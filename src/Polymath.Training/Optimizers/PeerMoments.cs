using System.Text.RegularExpressions;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>
/// The moments of torch.optim's Adam and AdamW as a Trainer of transformers saves them next to a LoRA of PEFT's. Such a file numbers the
/// parameters and has no names. They are in the order of the model: first those with weight decay, then the others (biases and norms).
/// </summary>
public static partial class PeerMoments
{
    /// <summary>The file's name.</summary>
    public const string File = "optimizer.pt";

    /// <summary>Copies the moments of some weights from a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="moments">The weights, map after map as the model uses them, and the destinations of their moments.</param>
    /// <param name="made">The maps of a block in the order in which transformers makes them; empty for the order of use.</param>
    /// <returns>The number of steps.</returns>
    /// <exception cref="InputException">The file is damaged, of another optimizer, or of other weights.</exception>
    internal static long Read(
        string path, IReadOnlyList<(Weight Weight, Tensor First, Tensor Second)> moments, IReadOnlyList<string> made)
    {
        InputException Wrong(string what) => new($"{path}: {what}. {OptimizerSet.WithoutState}");
        if (moments.FirstOrDefault(entry => !entry.Weight.Name.Contains(".lora_", StringComparison.Ordinal)
            || entry.Weight.Name.Contains(".experts", StringComparison.Ordinal)).Weight is { } foreign)
            throw Wrong($"such a file numbers its parameters, and the place of {foreign.Name} among them is not known: only those of LoRAs "
                + "outside experts are");
        using var file = PickledFile.OpenNested(path);
        var numbered = Numbered(file);
        var ordered = Ordered(moments, made);
        if (numbered.Count != ordered.Count) throw Wrong($"it is of {numbered.Count} parameters, and the adapter trains {ordered.Count}");
        using var frozen = no_grad();
        var done = new HashSet<long>();
        foreach (var ((weight, first, second), number) in ordered.Zip(numbered))
        {
            Take(
                file,
                $"state.{number}.exp_avg",
                weight,
                first,
                Wrong);
            Take(
                file,
                $"state.{number}.exp_avg_sq",
                weight,
                second,
                Wrong);
            done.Add(Steps(file, $"state.{number}.step", Wrong));
        }
        return done.Count == 1
            ? done.Single()
            : throw Wrong($"its parameters have done different numbers of steps, {string.Join(", ", done.Order().Take(4))}");
    }

    private static List<long> Numbered(PickledFile file)
    {
        var numbers = new List<long>();
        for (var group = 0; ; group++)
        {
            var before = numbers.Count;
            while (file.Numbers.TryGetValue($"param_groups.{group}.params.{numbers.Count - before}", out var number))
                numbers.Add((long)number);
            // A group may be empty but still has a learning rate.
            if (numbers.Count == before && !file.Numbers.ContainsKey($"param_groups.{group}.eps")) return numbers;
        }
    }

    // In the order of a Trainer's groups.
    private static List<(Weight Weight, Tensor First, Tensor Second)> Ordered(
        IReadOnlyList<(Weight Weight, Tensor First, Tensor Second)> moments, IReadOnlyList<string> made)
    {
        var modules = InPeersOrder([.. moments.Select(entry => ModuleOf(entry.Weight.Name)).Distinct()], made).ToList();
        return [.. moments.OrderBy(entry => Plain().IsMatch(entry.Weight.Name))
            .ThenBy(entry => modules.IndexOf(ModuleOf(entry.Weight.Name)))];
    }

    /// <summary>Modules in the order in which transformers creates them.</summary>
    /// <param name="modules">Their names, as the model uses them.</param>
    /// <param name="made">The maps of a block in that order, by the end of their names; empty for the order of use.</param>
    public static IReadOnlyList<string> InPeersOrder(IReadOnlyList<string> modules, IReadOnlyList<string> made)
    {
        ArgumentNullException.ThrowIfNull(modules);
        var places = made.ToList();
        var first = modules.Select((module, place) => (module, place)).GroupBy(pair => Parent(pair.module))
            .ToDictionary(group => group.Key, group => group.Min(pair => pair.place), StringComparer.Ordinal);
        return [.. modules.OrderBy(module => first[Parent(module)])
            .ThenBy(module => places.IndexOf(End(module)))];
    }

    private static string ModuleOf(string name) => name[..name.IndexOf(".lora_", StringComparison.Ordinal)];

    private static string End(string module) => module[(module.LastIndexOf('.') + 1)..];

    private static string Parent(string module) => module[..Math.Max(0, module.LastIndexOf('.'))];

    private static void Take(
        PickledFile file,
        string name,
        Weight weight,
        Tensor into,
        Func<string, InputException> wrong)
    {
        if (!file.Entries.TryGetValue(name, out var entry))
            throw wrong($"{name} is missing: it is not the state of Adam or AdamW after a step");
        if (!entry.Shape.SequenceEqual(into.shape))
            throw wrong($"{name} is [{string.Join(", ", entry.Shape)}], and {weight.Name}, which has that place in the adapter, is "
                + $"[{string.Join(", ", into.shape)}]: the state is not this adapter's");
        using var kept = file.Map(name);
        into.copy_(kept);
        if (!Optimizer.Sound(name.EndsWith("_sq", StringComparison.Ordinal) ? name : "first." + name, into))
            throw wrong($"{name} holds numbers that are no moments");
    }

    private static long Steps(PickledFile file, string name, Func<string, InputException> wrong)
    {
        if (file.Numbers.TryGetValue(name, out var plain)) return Done(plain);
        if (!file.Entries.TryGetValue(name, out var entry) || entry.Shape.Aggregate(1L, (a, b) => a * b) != 1)
            throw wrong($"{name} is missing or not a single number");
        using var kept = file.Map(name);
        using var wide = kept.to(ScalarType.Float64);
        return Done(wide.item<double>());

        long Done(double steps) => steps is >= 1 and < 1L << 53 ? (long)steps : throw wrong($"{name} is {steps}, not a number of steps");
    }

    // As in Trainer.get_decay_parameter_names.
    [GeneratedRegex("bias|layernorm|rmsnorm|(?:^|\\.)norm(?:$|\\.)|_norm(?:$|\\.)")]
    private static partial Regex Plain();
}
