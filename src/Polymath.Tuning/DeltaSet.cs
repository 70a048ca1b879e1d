using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tuning.Deltas;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>The deltas of one adapter, attached to a model.</summary>
public sealed class DeltaSet : IDisposable
{
    readonly List<(Projection Target, Delta Delta)> attached = [];
    readonly LanguageModel model;
    readonly DeltaSwitch state = new();

    DeltaSet(LanguageModel model, LoraConfiguration configuration) => (this.model, Configuration) = (model, configuration);

    /// <summary>What the adapter is, as PEFT's <c>adapter_config.json</c> says it.</summary>
    public LoraConfiguration Configuration { get; }

    /// <summary>The deltas' weights, under PEFT's names.</summary>
    public IEnumerable<Weight> Weights => attached.SelectMany(pair => pair.Delta.Weights);

    /// <summary>Whether the deltas are being trained.</summary>
    public bool Training
    {
        get => state.Training;
        set => state.Training = value;
    }

    /// <summary>Attaches fresh low-rank deltas.</summary>
    /// <param name="model">The model.</param>
    /// <param name="method">The settings.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="basis">The base model's name or folder, for the file.</param>
    public static DeltaSet Fresh(LanguageModel model, LoraMethod method, long seed, string basis = "")
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(method);
        var configuration = LoraConfiguration.For(method, method.TargetModules ?? model.DefaultTargets, basis);
        return Attach(model, configuration, (set, target, rank, scale) =>
            Lora.Fresh(target, LoraConfiguration.Prefix, rank, scale, configuration.Dropout, seed, set.state));
    }

    /// <summary>Attaches an adapter from a folder in PEFT's format. Every tensor must fit and be used.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The folder.</param>
    public static DeltaSet Load(LanguageModel model, string folder)
    {
        ArgumentNullException.ThrowIfNull(model);
        var configuration = LoraConfiguration.Read(Path.Combine(folder, "adapter_config.json"));
        return Read(model, configuration, [AdapterFile(folder)], folder, (target, name) => $"{LoraConfiguration.Prefix}{target}.{name}.weight");
    }

    // PEFT before 0.6 wrote a file of PyTorch's own.
    static string AdapterFile(string folder)
    {
        string file = Path.Combine(folder, "adapter_model.safetensors"), older = Path.Combine(folder, "adapter_model.bin");
        return !File.Exists(file) && File.Exists(older) ? older : file;
    }

    /// <summary>Attaches an adapter from a file of its weights alone, as scripts write it that save only what was trained. Every tensor must fit and be used.</summary>
    /// <param name="model">The model.</param>
    /// <param name="file">The file.</param>
    /// <param name="alpha">α, which such a file does not say.</param>
    /// <param name="basis">The base model's name or folder, for the configuration.</param>
    public static DeltaSet Import(LanguageModel model, string file, double alpha, string basis = "")
    {
        ArgumentNullException.ThrowIfNull(model);
        var weights = LoraWeightNames.Read(file);
        var ends = weights.Targets.Select(target => target[(target.LastIndexOf('.') + 1)..]).Distinct(StringComparer.Ordinal).ToList();
        // The ends of the names where they say the same, as PEFT writes it; otherwise the whole names.
        var fit = model.Projections.Where(projection => ends.Any(end => projection.Name.EndsWith("." + end, StringComparison.Ordinal))).All(projection => weights.Targets.Contains(projection.Name));
        var configuration = LoraConfiguration.For(new LoraMethod(R: weights.Rank, LoraAlpha: alpha, LoraDropout: 0), fit ? ends : [.. weights.Targets], basis);
        return Read(model, configuration, [file], file, (target, name) => weights.NameOf(target, name));
    }

    static DeltaSet Read(LanguageModel model, LoraConfiguration configuration, IReadOnlyList<string> paths, string origin, Func<string, string, string> nameOf)
    {
        using var files = new FileWeights(paths, origin);
        var set = Attach(model, configuration, (set, target, rank, scale) =>
        {
            Weight Part(string name, params long[] size)
            {
                using var held = files.Get(nameOf(target.Name, name), null, size).Value;
                // The adapter is small and outlives its file: it gets memory of its own, in full precision.
                return new Weight($"{LoraConfiguration.Prefix}{target.Name}.{name}.weight", held.to(ScalarType.Float32, copy: true));
            }
            return new Lora(Part("lora_A", rank, target.InputWidth), Part("lora_B", target.OutputWidth, rank), scale, configuration.Dropout, set.state);
        });
        try
        {
            files.Finish([]);
        }
        catch
        {
            set.Dispose();
            throw;
        }
        return set;
    }

    static DeltaSet Attach(LanguageModel model, LoraConfiguration configuration, Func<DeltaSet, Projection, int, double, Delta> make)
    {
        var set = new DeltaSet(model, configuration);
        foreach (var target in model.Projections.Where(configuration.Targets))
        {
            if (target.Delta is not null) throw new InputException($"{target.Name} has a delta already; merge or detach it first.");
            var (rank, scale) = configuration.SizeFor(target.Name);
            target.Delta = make(set, target, rank, scale);
            set.attached.Add((target, target.Delta));
        }
        if (set.attached.Count == 0)
            throw new InputException($"targetModules [{string.Join(", ", configuration.TargetModules)}] fit none of the model's projections, such as {string.Join(", ", model.Projections.Take(7).Select(p => p.Name))}.");
        return set;
    }

    /// <summary>Switches the deltas off until the result is disposed: the model is the base, the reference policy of alignment.</summary>
    public IDisposable Off()
    {
        state.On = false;
        return new Resume(state);
    }

    /// <summary>Adds the deltas to the projections' weights and detaches them: the model is what it was, without deltas.</summary>
    public void Merge()
    {
        using var frozen = no_grad();
        foreach (var (target, delta) in attached)
        {
            using var scope = NewDisposeScope();
            target.Add(delta.WeightChange());
        }
        Dispose();
    }

    /// <summary>Writes the adapter as PEFT does.</summary>
    /// <param name="folder">The folder.</param>
    public void Save(string folder)
    {
        Tensors.Files.SafetensorsWriter.Write(Path.Combine(folder, "adapter_model.safetensors"), Weights.ToDictionary(weight => weight.Name, weight => weight.Value));
        AtomicFile.WriteText(Path.Combine(folder, "adapter_config.json"), Configuration.ToJson());
    }

    /// <summary>Detaches the deltas and frees them.</summary>
    public void Dispose()
    {
        foreach (var (target, delta) in attached)
        {
            target.Delta = null;
            foreach (var weight in delta.Weights) weight.Value.Dispose();
        }
        attached.Clear();
    }

    /// <summary>The model the deltas are attached to.</summary>
    public LanguageModel Model => model;

    sealed class Resume(DeltaSwitch state) : IDisposable
    {
        public void Dispose() => state.On = true;
    }
}
