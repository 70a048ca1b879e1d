using Polymath.Models;
using Polymath.Tensors;
using Polymath.Tests.Tensors;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>What our formulas give for a case.</summary>
internal sealed class CaseNumbers
{
    /// <summary>The loss with its gradient.</summary>
    public required Tensor Loss { get; init; }

    /// <summary>The trained weights by their names in the case, in groups.</summary>
    public required IReadOnlyDictionary<string, IReadOnlyList<(string Name, Weight Weight)>> Weights { get; init; }

    /// <summary>Numbers of <c>per_row</c>, end to end; a set of numbers is sorted where the order is not that of rows.</summary>
    public Dictionary<string, double[]> Rows { get; } = [];

    /// <summary>Numbers of <c>metrics</c>.</summary>
    public Dictionary<string, double> Metrics { get; } = [];

    /// <summary>Further numbers of the case, by their names.</summary>
    public Dictionary<string, double[]> Others { get; } = [];

    /// <summary>What stands for a number that is not compared.</summary>
    public const double Open = double.PositiveInfinity;

    /// <summary>
    /// Names of <c>per_row</c> and <c>metrics</c> whose numbers are given to us, or are in no order, or are faults of theirs.
    /// </summary>
    public HashSet<string> Given { get; } = [];

    public static IReadOnlyDictionary<string, IReadOnlyList<(string Name, Weight Weight)>> All(
        LanguageModel policy, LanguageModel? critic = null)
    {
        static IReadOnlyList<(string, Weight)> Of(LanguageModel model) => [.. model.Weights.Select(weight => (weight.Name, weight))];
        var groups = new Dictionary<string, IReadOnlyList<(string Name, Weight Weight)>> { ["policy"] = Of(policy) };
        if (critic is not null) groups["critic"] = Of(critic);
        return groups;
    }

    public static double[] Doubles(Tensor values) => [.. values.detach().to(ScalarType.Float64).contiguous().data<double>()];

    public static double Mean(Tensor values) => values.detach().to(ScalarType.Float64).mean().item<double>();

    public void Put(string name, Tensor values) => Rows[name] = Doubles(values);

    public void Measure(string name, Tensor values) => Metrics[name] = Mean(values);

    /// <summary>Everything that differs from the case by more than is allowed.</summary>
    public List<string> Faults(AlignCase expected)
    {
        var faults = new List<string>();
        var loss = AlignCase.NumberOf(expected.Json["loss"]);
        var ours = Loss.to(ScalarType.Float64).item<double>();
        var slack = 1e-5 * Math.Abs(loss) + (expected.Family is "grpo" or "rloo" or "ppo" ? 5e-6 : 0);
        if (!(Math.Abs(ours - loss) <= slack)) faults.Add($"loss {ours} for {loss}");
        Fused.Backpropagate(Loss);
        Gradients(expected, faults);
        Norms(expected, faults);
        var rows = expected.Json["per_row"]?.AsObject() ?? [];
        foreach (var (name, value) in rows)
            if (Rows.TryGetValue(name, out var numbers)) Compare(name, AlignCase.Numbers(value), numbers, faults);
            else if (!Given.Contains(name)) faults.Add($"per_row.{name} is not compared");
        foreach (var (name, value) in expected.Json["metrics"]?.AsObject() ?? [])
            if (Metrics.TryGetValue(name, out var number)) Compare(name, [AlignCase.NumberOf(value)], [number], faults);
            else if (!IsTheirs(name) && !Given.Contains(name)) faults.Add($"metrics.{name} is not compared");
        foreach (var (name, numbers) in Others)
            if (expected.Json[name] is { } value) Compare(name, AlignCase.Numbers(value), numbers, faults);
        return faults;
    }

    // What TRL logs of its inputs: numbers of tokens, lengths, raw logits, settings.
    private static bool IsTheirs(string name) => name is "num_tokens" or "mean_token_accuracy" or "beta" or "entropy_coef"
        || name.StartsWith("completions/", StringComparison.Ordinal) || name.StartsWith("logits/", StringComparison.Ordinal);

    private void Gradients(AlignCase expected, List<string> faults)
    {
        foreach (var name in expected.Tensors.Entries.Keys)
        {
            if (!name.StartsWith("grad.", StringComparison.Ordinal)) continue;
            var (weight, theirs) = (Find(name["grad.".Length..]), Samples.Floats(expected.Tensors.Map(name)));
            using var gradient = weight.Value.grad;
            var ours = gradient is null ? new float[theirs.Length] : Samples.Floats(gradient);
            var largest = theirs.Max(Math.Abs);
            var worst = ours.Zip(theirs, (a, b) => Math.Abs((double)a - b)).Max();
            if (!(worst <= 2e-4 * largest)) faults.Add($"{name} {worst / largest:G3} of its largest entry");
        }
    }

    private Weight Find(string name)
    {
        var group = name.StartsWith("critic.", StringComparison.Ordinal) ? "critic" : "policy";
        var plain = group == "critic" ? name["critic.".Length..] : name;
        return Weights[group].Single(item => item.Name == plain).Weight;
    }

    private void Norms(AlignCase expected, List<string> faults)
    {
        foreach (var (group, norms) in expected.Json["grad_norms"]?.AsObject() ?? [])
            foreach (var (name, numbers) in norms!.AsObject())
            {
                var theirs = AlignCase.NumberOf(numbers!["norm"]);
                using var gradient = Weights[group].Single(item => item.Name == name).Weight.Value.grad;
                var ours = gradient is null ? 0 : gradient.norm().item<float>();
                if (!(Math.Abs(ours - theirs) <= 2e-4 * theirs)) faults.Add($"{group} {name} norm {ours} for {theirs}");
            }
    }

    private static void Compare(string name, double[] theirs, double[] ours, List<string> faults)
    {
        if (theirs.Length != ours.Length)
        {
            faults.Add($"{name}: {ours.Length} numbers for {theirs.Length}");
            return;
        }
        for (var i = 0; i < theirs.Length; i++)
            if (ours[i] != Open && !(Math.Abs(ours[i] - theirs[i]) <= 1e-4 * Math.Max(1, Math.Abs(theirs[i])))
                && !(double.IsNaN(ours[i]) && double.IsNaN(theirs[i])))
            {
                faults.Add($"{name}[{i}] {ours[i]} for {theirs[i]}");
                return;
            }
    }
}
