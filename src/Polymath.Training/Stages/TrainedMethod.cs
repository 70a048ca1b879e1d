using System.Text.RegularExpressions;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Evaluation;
using Polymath.Tuning;

namespace Polymath.Training.Stages;

/// <summary>What a stage trains: it chooses the weights before, and leaves a plain model behind.</summary>
public sealed class TrainedMethod : IDisposable
{
    readonly LanguageModel model;
    readonly DeltaSet? deltas;
    readonly bool merge;

    TrainedMethod(LanguageModel model, string name, IReadOnlyList<Weight> weights, DeltaSet? deltas, bool merge) =>
        (this.model, Name, Weights, this.deltas, this.merge) = (model, name, weights, deltas, merge);

    /// <summary>The method's name for the report.</summary>
    public string Name { get; }

    /// <summary>The weights that are trained.</summary>
    public IReadOnlyList<Weight> Weights { get; }

    /// <summary>Whether a step is being trained; dropout applies only then.</summary>
    public bool Training
    {
        get => deltas?.Training ?? false;
        set
        {
            if (deltas is not null) deltas.Training = value;
        }
    }

    /// <summary>What the method adds to a step's mean loss, or null.</summary>
    public TorchSharp.torch.Tensor? Penalty() => deltas?.Penalty();

    /// <summary>What the method does around the steps, or null.</summary>
    public DeltaCourse? Course => deltas?.Course;

    /// <summary>Makes a model ready for a method.</summary>
    /// <param name="model">The model.</param>
    /// <param name="method">The method.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="stage">The stage's name: fresh deltas of different stages differ.</param>
    /// <param name="prepared">The folder of an adapter that has looked at its data already; taken where it is there.</param>
    /// <param name="encode">Turns a text into tokens, for prompts that start as one.</param>
    public static TrainedMethod Attach(LanguageModel model, MethodSpec method, long seed, string stage, string? prepared = null, Func<string, int[]>? encode = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        foreach (var weight in model.Weights) weight.Trainable = false;
        switch (method)
        {
            case PromptMethod prompt:
                var inner = Attach(model, prompt.Train ?? new FullMethod(), seed, stage, prepared, encode);
                return new TrainedMethod(model, $"prompt + {inner.Name}", inner.Weights, inner.deltas, inner.merge);
            case LoraMethod lora:
                model.Hold(lora.Base);
                var deltas = DeltaSet.Fresh(model, lora, (long)new Text.RandomStream(seed, stage).NextBits());
                foreach (var weight in deltas.Weights) weight.Trainable = true;
                return new TrainedMethod(model, "lora", [.. deltas.Weights], deltas, lora.Merge);
            case DeltaSpec delta:
                // LoftQ rounds its maps itself, from the whole weights; the others follow.
                var loftq = delta.Settings?.GetValueOrDefault("init_lora_weights") == "loftq";
                if (loftq && delta.Base is not (null or BasePrecision.Nf4)) throw new InputException($"method: LoftQ starts from a base in nf4, and base is {delta.Base.ToString()!.ToLowerInvariant()}. Take base: nf4, or another init_lora_weights.");
                if (!loftq) model.Hold(delta.Base);
                var set = Directory.Exists(prepared) ? DeltaSet.Load(model, prepared) : DeltaSet.Fresh(model, DeltaPlan.Configure(model, delta), (long)new Text.RandomStream(seed, stage).NextBits(), encode);
                model.Hold(delta.Base);
                foreach (var weight in set.Weights) weight.Trainable = true;
                return new TrainedMethod(model, System.Text.Json.JsonNamingPolicy.CamelCase.ConvertName(delta.Form.ToString()), [.. set.Weights], set, delta.Merge && set.Merges);
            case FreezeMethod freeze:
                return new TrainedMethod(model, "freeze", Chosen(model, freeze.Train ?? [], FrozenLayers.Trained(model, freeze)), null, merge: false);
            default:
                return new TrainedMethod(model, method.Kind, Chosen(model, ["*"], []), null, merge: false);
        }
    }

    static List<Weight> Chosen(LanguageModel model, IReadOnlyList<string> patterns, IEnumerable<Weight> more)
    {
        var chosen = new HashSet<Weight>(more);
        foreach (var pattern in patterns)
        {
            var expression = new Regex("^" + Regex.Escape(pattern).Replace("\\*", ".*", StringComparison.Ordinal) + "$", RegexOptions.None, TimeSpan.FromSeconds(1));
            var found = model.Weights.Where(weight => expression.IsMatch(weight.Name)).ToList();
            if (found.Count == 0) throw new InputException($"method.train: '{pattern}' fits no weight of the model, such as {string.Join(", ", model.Weights.Take(4).Select(weight => weight.Name))}.");
            chosen.UnionWith(found);
        }
        foreach (var weight in chosen) weight.Trainable = true;
        return [.. model.Weights.Where(chosen.Contains)];
    }

    /// <summary>Whether the delta stays apart from the model when the training ends.</summary>
    public bool Unmerged => deltas is not null && !merge;

    /// <summary>Looks at data before the first step, where the method does, and writes down what came of it.</summary>
    /// <param name="losses">The mean loss of each row.</param>
    /// <param name="folder">Where an adapter is written that starts from what was seen.</param>
    public void Look(IEnumerable<TorchSharp.torch.Tensor> losses, string folder)
    {
        Course!.Look(losses);
        AtomicFile.WriteFolder(folder, deltas!.Save);
    }

    /// <summary>Ends the training: the adapter is written, and merged into the model where the method says so.</summary>
    /// <param name="folder">The stage's folder.</param>
    /// <param name="beside">Writes what belongs beside an adapter: the layout it was taught.</param>
    /// <param name="held">Prompts' tokens that go through the model before and after it is merged; random ones where there are none, no comparison where it is null.</param>
    /// <param name="limit">The largest divergence of a next token, in nats, between before and after.</param>
    /// <returns>What the comparison found; null where nothing was merged.</returns>
    /// <exception cref="RunFailedException">The merged model answers otherwise; the adapter is written.</exception>
    public GateReport? Finish(string folder, Action<string>? beside = null, IReadOnlyList<int[]>? held = null, double limit = MergeGate.DefaultLimit)
    {
        GateReport? report = null;
        if (deltas is not null)
        {
            AtomicFile.WriteFolder(Path.Combine(folder, "adapter"), place =>
            {
                deltas.Save(place);
                beside?.Invoke(place);
            });
            if (merge)
            {
                var gate = held is null ? null : MergeGate.Open(model, held);
                deltas.Merge();
                report = gate?.Settle(model, folder, limit);
            }
        }
        foreach (var weight in model.Weights) weight.Trainable = false;
        return report;
    }

    /// <summary>Sets a delta that was not merged aside until the result is disposed, the model's own weights that it trains among it: what is saved meanwhile is its base.</summary>
    public IDisposable? Aside() => Unmerged ? deltas!.Off() : null;

    /// <summary>Detaches what is still attached.</summary>
    public void Dispose() => deltas?.Dispose();
}
