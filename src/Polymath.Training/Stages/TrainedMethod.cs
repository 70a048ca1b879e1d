using System.Text.Json;
using System.Text.RegularExpressions;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Training.Evaluation;
using Polymath.Training.Optimizers;
using Polymath.Tuning;

namespace Polymath.Training.Stages;

/// <summary>What a stage trains: it selects the weights before training, and leaves a model without adapters after it.</summary>
public sealed class TrainedMethod : IDisposable
{
    private readonly LanguageModel model;
    private readonly IReadOnlyList<Weight> chosen;
    private readonly TrainedAdapters? adapters;

    private TrainedMethod(LanguageModel model, string name, IReadOnlyList<Weight> chosen, TrainedAdapters? adapters = null) =>
        (this.model, Name, this.chosen, this.adapters) = (model, name, chosen, adapters);

    /// <summary>The method's name for the report.</summary>
    public string Name { get; }

    /// <summary>The weights that are trained.</summary>
    public IReadOnlyList<Weight> Weights =>
        adapters is null ? chosen : [.. adapters.Groups(new AdamwSpec(0)).SelectMany(group => group.Weights)];

    /// <summary>The weights that are trained, in groups that move together.</summary>
    /// <param name="usual">How they move where nothing else is said.</param>
    public IReadOnlyList<WeightGroup> Groups(OptimizerSpec usual) => adapters?.Groups(usual)
        ?? [new WeightGroup("", chosen, usual) { IsHiddenMatrix = HiddenMatrices.Of(model) }];

    /// <summary>Loads the moments for adapters whose training continues.</summary>
    /// <param name="optimizer">The optimizer of <see cref="Groups"/>.</param>
    public void TakeUp(OptimizerSet optimizer) => adapters?.TakeUp(optimizer);

    /// <summary>Whether a step is being trained; dropout applies only then.</summary>
    public bool Training
    {
        get => adapters?.Training ?? false;
        set
        {
            if (adapters is not null) adapters.Training = value;
        }
    }

    /// <summary>Whether the method reads data before its first step.</summary>
    public bool Looks => adapters?.Only?.Course is { Looks: true };

    /// <summary>Sets the length of the training, before its first step.</summary>
    /// <param name="steps">The number of steps.</param>
    public void Begin(int steps) => adapters?.Begin(steps);

    /// <summary>Moves the biases that choose experts; null where they stay.</summary>
    public ExpertBalance? Balance { get; private set; }

    /// <summary>The method's state between steps, by name; null for none.</summary>
    public IReadOnlyDictionary<string, TorchSharp.torch.Tensor>? Memory => adapters?.Memory() ?? Balance?.Memory;

    /// <summary>This method, with the balance of experts that a stage asks for.</summary>
    /// <param name="stage">The stage.</param>
    /// <exception cref="InputException">The model has no biases that choose experts.</exception>
    public TrainedMethod For(StageSpec stage)
    {
        Balance = ExpertBalance.Of(model, stage);
        return this;
    }

    /// <summary>Prepares a model for a method.</summary>
    /// <param name="model">The model.</param>
    /// <param name="method">The method.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="stage">The stage's name: fresh deltas of different stages differ.</param>
    /// <param name="prepared">The folder of an adapter that has already read its data; it is loaded when it exists.</param>
    /// <param name="encode">Turns a text into tokens, for prompts that start from a text.</param>
    /// <param name="places">The places of adapters that were trained before; null when the method names none.</param>
    public static TrainedMethod Attach(
        LanguageModel model,
        MethodSpec method,
        long seed,
        string stage,
        string? prepared = null,
        Func<string, int[]>? encode = null,
        AdapterPlaces? places = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        foreach (var weight in model.Weights) weight.Trainable = false;
        switch (method)
        {
            case PromptMethod prompt:
                var inner = Attach(
                    model,
                    prompt.Train ?? new FullMethod(),
                    seed,
                    stage,
                    prepared,
                    encode,
                    places);
                return new TrainedMethod(model, $"prompt + {inner.Name}", inner.chosen, inner.adapters);
            case LoraMethod lora:
                return Attach(
                    model,
                    lora.ToDelta(),
                    seed,
                    stage,
                    prepared,
                    encode,
                    places);
            case DeltaSpec delta:
                var set = Fresh(
                    model,
                    delta,
                    (long)new Text.RandomStream(seed, stage).NextBits(),
                    prepared,
                    encode);
                return new TrainedMethod(model, JsonNamingPolicy.CamelCase.ConvertName(delta.Form.ToString()), [], TrainedAdapters.Single(
                    model, set, delta.Merge && set.Merges));
            case AdaptersMethod several:
                if (several.Adapters.Values.All(adapter => adapter.Delta is null)) model.Quantize(several.Base);
                var adapters = new GatheredAdapters(
                    model,
                    several,
                    places ?? throw new InvalidOperationException("The method names adapters, and nothing says where they lie."),
                    (name, spec) => Fresh(
                        model,
                        spec with { Base = several.Base },
                        (long)new Text.RandomStream(seed, $"{stage}/{name}").NextBits(),
                        null,
                        encode)).Attach();
                return new TrainedMethod(
                    model,
                    $"{JsonNamingPolicy.CamelCase.ConvertName(several.Together.ToString())}: {string.Join(", ", several.Adapters.Keys)}",
                    [],
                    adapters);
            case FreezeMethod freeze:
                return new TrainedMethod(
                    model, "freeze", Chosen(model, freeze.Train ?? [], [.. FrozenLayers.Trained(model, freeze), .. Head(model)]));
            default:
                return new TrainedMethod(model, method.Kind, Chosen(model, ["*"], []));
        }
    }

    private static DeltaSet Fresh(
        LanguageModel model,
        DeltaSpec delta,
        long seed,
        string? prepared,
        Func<string, int[]>? encode)
    {
        // LoftQ quantizes its maps itself, from the full weights; the other maps are quantized after it.
        var loftq = delta.Settings?.GetValueOrDefault("init_lora_weights") == "loftq";
        if (loftq && delta.Base is not (null or BasePrecision.Nf4))
            throw new InputException($"method: LoftQ starts from a base in nf4, and base is {delta.Base.ToString()!.ToLowerInvariant()}. "
                + "Write base: nf4, or another init_lora_weights.");
        if (!loftq) model.Quantize(delta.Base);
        var set = Directory.Exists(prepared)
            ? DeltaSet.Load(model, prepared)
            : DeltaSet.Fresh(model, delta, seed, encode);
        model.Quantize(delta.Base);
        return set;
    }

    // A head over labels is always trained in such a stage, whatever else is frozen.
    private static IEnumerable<Weight> Head(LanguageModel model) =>
        model.Labels is { } head
            ? model.Weights.Where(weight => head.Modules.Any(module => weight.Name.StartsWith(module + ".", StringComparison.Ordinal)))
            : [];

    private static List<Weight> Chosen(LanguageModel model, IReadOnlyList<string> patterns, IEnumerable<Weight> more)
    {
        var chosen = new HashSet<Weight>(more);
        foreach (var pattern in patterns)
        {
            var expression = new Regex(
                "^" + Regex.Escape(pattern).Replace("\\*", ".*", StringComparison.Ordinal) + "$",
                RegexOptions.None,
                TimeSpan.FromSeconds(1));
            var found = model.Weights.Where(weight => expression.IsMatch(weight.Name)).ToList();
            if (found.Count == 0)
                throw new InputException($"method.train: '{pattern}' matches no weight of the model, such as "
                    + $"{string.Join(", ", model.Weights.Take(4).Select(weight => weight.Name))}.");
            chosen.UnionWith(found);
        }
        foreach (var weight in chosen) weight.Trainable = true;
        return [.. model.Weights.Where(chosen.Contains)];
    }

    /// <summary>Whether adapters stay apart from the model when the training ends.</summary>
    public bool Unmerged => adapters is { Unmerged: true };

    /// <summary>Reads data before the first step, if the method needs it, and saves the result.</summary>
    /// <param name="losses">The mean loss of each row.</param>
    /// <param name="folder">The folder of the adapter that starts from the data.</param>
    public void Look(IEnumerable<TorchSharp.torch.Tensor> losses, string folder)
    {
        adapters!.Only!.Course!.Look(losses);
        AtomicFile.WriteFolder(folder, adapters.Only.Save);
    }

    /// <summary>Ends the training: the adapters are written, and merged into the model if the method says so.</summary>
    /// <param name="folder">The stage's folder.</param>
    /// <param name="beside">Writes the layout that the adapter was trained with, next to the adapter.</param>
    /// <param name="held">Prompts' tokens that go through the model before and after the merge; random ones when empty, no comparison when
    /// null.</param>
    /// <param name="limit">The largest divergence of a next token before and after the merge, in nats.</param>
    /// <param name="optimizer">The optimizer, whose moments are saved next to the adapters; null for none.</param>
    /// <returns>The result of the comparison; null when nothing was merged.</returns>
    /// <exception cref="RunFailedException">The merged model gives other outputs; the adapters are written.</exception>
    public GateReport? Finish(
        string folder,
        Action<string>? beside = null,
        IReadOnlyList<int[]>? held = null,
        double limit = MergeGate.DefaultLimit,
        OptimizerSet? optimizer = null)
    {
        if (adapters is not null) AtomicFile.WriteFolder(Path.Combine(folder, "adapter"), place => adapters.Save(place, optimizer, beside));
        var report = adapters?.Merge(folder, held, limit);
        foreach (var weight in model.Weights) weight.Trainable = false;
        return report;
    }

    /// <summary>
    /// Removes adapters that were not merged until the result is disposed, and restores the model's own weights that they train. A model
    /// saved during this time is their base.
    /// </summary>
    public IDisposable? Aside() => Unmerged ? adapters!.Off() : null;

    /// <summary>Detaches the adapters that are still attached.</summary>
    public void Dispose() => adapters?.Dispose();
}
