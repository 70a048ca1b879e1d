using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>One adapter, attached to a model: deltas in its sockets, a prompt before its rows, weights of its own that are trained.</summary>
public sealed class DeltaSet : IDisposable
{
    readonly List<(Projection Target, Delta Delta)> plugged = [];
    readonly List<TokenDelta> tokens = [];
    readonly List<(AttentionSocket Socket, AttentionAddition Addition)> attended = [];
    readonly List<(string Name, Weight Weight, bool Trained)> kept = [];
    readonly List<ChosenWeight> chosen = [];
    readonly List<(string Name, Weight Weight)> echoes = [];
    readonly List<Tensor> owned = [];
    bool untied;
    SoftPrompt? prompt;

    DeltaSet(LanguageModel model, AdapterConfiguration configuration) => (Model, Configuration, basis) = (model, configuration, model.Unrounded ?? ModelSignature.Of(model));

    // The model as it was found: a method may round it (LoftQ).
    readonly ModelSignature basis;

    /// <summary>What the adapter is, as PEFT's <c>adapter_config.json</c> says it.</summary>
    public AdapterConfiguration Configuration { get; }

    /// <summary>The model the adapter is attached to.</summary>
    public LanguageModel Model { get; }

    /// <summary>Whether the deltas apply, and whether they are being trained.</summary>
    internal DeltaSwitch State { get; } = new();

    /// <summary>What the method does around the steps of its training; null where that is nothing.</summary>
    public DeltaCourse? Course { get; internal set; }

    /// <summary>The tokens that the adapter applies to.</summary>
    internal DeltaPlaces Places { get; } = new();

    /// <summary>What is trained, by its name in files.</summary>
    public IReadOnlyList<(string Name, Weight Weight)> Trained => [.. kept.Where(item => item.Trained).Select(item => (item.Name, item.Weight)), .. chosen.Where(item => item.Trained).Select(item => (item.Name, item.Weight))];

    /// <summary>The weights that are trained.</summary>
    public IEnumerable<Weight> Weights => Trained.Select(item => item.Weight);

    /// <summary>The deltas, with the projections they are plugged into.</summary>
    public IReadOnlyList<(Projection Target, Delta Delta)> Plugged => plugged;

    /// <summary>Whether the deltas are being trained.</summary>
    public bool Training
    {
        get => State.Training;
        set => State.Training = value;
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
        var configuration = Deltas.Lora.Configure(method, method.TargetModules ?? model.DefaultTargets, basis, DeltaPlan.Task(model));
        DeltaPlan.Fit(configuration, model);
        NamedSockets.Check(model, configuration);
        DeltaPlan.LearnHead(configuration, model);
        return Fresh(model, configuration, seed);
    }

    /// <summary>Attaches a fresh adapter.</summary>
    /// <param name="model">The model.</param>
    /// <param name="configuration">The settings.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="encode">Turns a text into the model's tokens, for prompts that start as one; null where no tokenizer is at hand.</param>
    public static DeltaSet Fresh(LanguageModel model, AdapterConfiguration configuration, long seed, Func<string, int[]>? encode = null) => Attach(model, configuration, set => new DeltaParts(set, null, seed) { Encode = encode });

    /// <summary>Attaches an adapter from a folder in PEFT's format. Every tensor must fit and be used.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="anyBase">Whether it may be put on another model than the one it was made for.</param>
    /// <exception cref="InputException">A file is missing or damaged, does not fit the model, or says that it was made for another.</exception>
    public static DeltaSet Load(LanguageModel model, string folder, bool anyBase = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        var configuration = AdapterConfiguration.Read(Path.Combine(folder, "adapter_config.json"));
        if (!anyBase) AdapterBase.Read(folder)?.Check(model, folder, configuration);
        // A prompt's encoder, where it was kept, gives what PEFT's file holds.
        var encoder = Path.Combine(folder, Prompts.ComputedPrompt.EncoderFile);
        return Read(model, configuration, File.Exists(encoder) ? encoder : AdapterFile(folder), folder, null);
    }

    /// <summary>The file of an adapter's weights: PEFT before 0.6 wrote one of PyTorch's own.</summary>
    /// <param name="folder">The adapter's folder.</param>
    public static string AdapterFile(string folder)
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
        var configuration = Deltas.Lora.Configure(new LoraMethod(R: weights.Rank, LoraAlpha: alpha, LoraDropout: 0), fit ? ends : [.. weights.Targets], basis, DeltaPlan.Task(model));
        DeltaPlan.Fit(configuration, model);
        return Read(model, configuration, file, file, weights.NameOf);
    }

    static DeltaSet Read(LanguageModel model, AdapterConfiguration configuration, string path, string origin, Func<string, string>? nameInFile)
    {
        using var files = new FileWeights([path], origin);
        var set = Attach(model, configuration, set => new DeltaParts(set, files, 0, nameInFile));
        try
        {
            files.Finish([]);
            set.CheckFinite(path);
        }
        catch
        {
            set.Dispose();
            throw;
        }
        return set;
    }

    // Training that diverged writes what is no number; nothing good comes of putting that on a model.
    void CheckFinite(string path)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, weight) in kept.Select(item => (item.Name, item.Weight)).Concat(chosen.Select(item => (item.Name, item.Weight))))
            if (!weight.Value.isfinite().all().item<bool>()) throw new InputException($"{path}: {name} holds numbers that are not finite. The training that wrote it diverged: take an earlier checkpoint, or train again with a lower rate.");
    }

    static DeltaSet Attach(LanguageModel model, AdapterConfiguration configuration, Func<DeltaSet, DeltaParts> parts)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(configuration);
        var method = DeltaMethods.Of(configuration);
        configuration.Understands(method.Keys);
        var set = new DeltaSet(model, configuration);
        try
        {
            var given = parts(set);
            method.Attach(given);
            OwnWeights.Attach(given);
            if (set.plugged.Count + set.tokens.Count + set.chosen.Count + set.attended.Count == 0 && set.prompt is null)
                throw new InputException($"targetModules [{string.Join(", ", configuration.TargetModules)}] fit none of the model's projections, such as {string.Join(", ", model.Projections.Take(7).Select(p => p.Name))}.");
        }
        catch
        {
            set.Dispose();
            throw;
        }
        return set;
    }

    internal void Keep(string name, Weight weight, bool trained) => kept.Add((name, weight, trained));

    internal Tensor Own(Tensor made)
    {
        owned.Add(made.DetachFromDisposeScope());
        return made;
    }

    internal void Plug(Projection target, Delta delta)
    {
        delta.Places = Places;
        target.Plug(delta);
        plugged.Add((target, delta));
    }

    internal void Plug(TokenDelta delta)
    {
        Model.Tokens.Plug(delta);
        tokens.Add(delta);
    }

    internal void Plug(AttentionSocket socket, AttentionAddition addition)
    {
        socket.Plug(addition);
        attended.Add((socket, addition));
    }

    internal void Plug(SoftPrompt soft)
    {
        if (Model.Prompt is not null) throw new InputException("The model has a prompt of virtual tokens already; detach it first.");
        Model.Prompt = prompt = soft;
    }

    internal bool Choose(string name, Weight weight, Tensor? value, bool trained)
    {
        if (chosen.Exists(item => item.Weight == weight)) return false;
        chosen.Add(new ChosenWeight(name, weight, value, trained));
        return true;
    }

    // A file may hold a weight a second time under another name; it is written so again.
    internal void Echo(string name, Weight weight) => echoes.Add((name, weight));

    internal void Untie()
    {
        untied |= Model.Tokens.IsTied;
        Model.Untie();
    }

    /// <summary>What the method adds to the loss to keep its weights in shape, or null.</summary>
    public Tensor? Penalty()
    {
        var bent = plugged.Select(pair => pair.Delta).OfType<Deltas.AdaLora>().ToList();
        return bent.Count == 0 ? null : bent.Aggregate(zeros(1), (sum, delta) => sum + delta.Skewness()) * (Configuration.Number("orth_reg_weight", 0.5) / bent.Count);
    }

    /// <summary>Switches the adapter off until the result is disposed: the model is the base, the reference policy of alignment.</summary>
    public IDisposable Off()
    {
        State.On = false;
        foreach (var weight in chosen) weight.Swap();
        return new Resume(this);
    }

    /// <summary>Whether the adapter can be made part of the model's own weights: prompts, and adapters with a nonlinearity, cannot.</summary>
    public bool Merges => prompt is null && attended.Count == 0 && plugged.TrueForAll(pair => pair.Delta.Merges);

    /// <summary>Whether it changes more than linear maps' weights: token vectors, the model's own norms and biases, rows by a prompt, what is attended to.</summary>
    public bool ChangesMore => prompt is not null || attended.Count > 0 || tokens.Count > 0 || chosen.Exists(item => item.Trained);

    /// <summary>Makes the adapter part of the model's weights and detaches it: the model is what it was with the adapter, without deltas.</summary>
    /// <exception cref="InputException">It cannot be a part of them.</exception>
    public void Merge()
    {
        CheckMerge();
        using var frozen = no_grad();
        foreach (var (target, delta) in plugged)
        {
            using var scope = NewDisposeScope();
            var (weight, bias) = delta.Merge(target.Matrix(), target.Bias?.Value);
            target.Assign(weight, bias);
        }
        foreach (var delta in tokens)
        {
            using var scope = NewDisposeScope();
            Model.Tokens.Embedding.Assign(delta.Merge(Model.Tokens.Embedding.Value.to(ScalarType.Float32)));
        }
        foreach (var weight in chosen) weight.Keep();
        // A head that was trained apart from the token vectors stays so.
        untied = false;
        Dispose();
    }

    /// <summary>The model's weights with the adapter in them, one at a time: what <see cref="Merge"/> makes of the whole model, number for number.</summary>
    /// <exception cref="InputException">It cannot be a part of them.</exception>
    public MergedWeights Merged()
    {
        CheckMerge();
        return new MergedWeights(Model, plugged, tokens);
    }

    /// <summary>The weights of a model that the adapter is a part of, without it, one at a time. The set is attached to the merged model only to be read.</summary>
    /// <param name="original">Gives a weight of the model it was merged into, where that is at hand: what cannot be taken out is put back.</param>
    /// <exception cref="InputException">It cannot be a part of the model, or there is no way back and no original.</exception>
    public MergedWeights Unmerged(Func<Weight, Tensor>? original = null)
    {
        CheckMerge();
        var without = plugged.Where(pair => !pair.Delta.Unmerges).SelectMany(pair => new[] { pair.Target.Weight, pair.Target.Bias }).OfType<Weight>().Select(weight => weight.Name).Concat(chosen.Select(item => item.Weight.Name)).Concat(tokens.Where(delta => delta is not Deltas.LoraTokens { Unmerges: true }).Select(_ => Model.Tokens.Embedding.Name)).Distinct().ToList();
        if (without.Count > 0 && original is null)
            throw new InputException($"An adapter of the kind {Configuration.Type} cannot be taken out of {string.Join(", ", without.Take(3))}{(without.Count > 3 ? $" and {without.Count - 3} more" : "")}: what was there before is not in it. Name the model it was merged into, whose weights are put back there: --base FOLDER.");
        return new MergedWeights(Model, plugged, tokens, original is null ? _ => null : weight => without.Contains(weight.Name) ? original(weight) : null);
    }

    void CheckMerge()
    {
        if (!Merges) throw new InputException($"An adapter of the kind {Configuration.Type} cannot be merged: it is no change of the model's weights. Keep it beside the model (--adapter).");
        // Chosen tokens' vectors are the same for both; other changes are of one of them.
        if (Model.Labels is null && Model.Tokens.IsTied && tokens.Exists(delta => delta is not Deltas.TrainableTokens) | plugged.Exists(pair => pair.Target == Model.Tokens.HeadMap && tokens.Count == 0))
            throw new InputException("The adapter changes the token vectors or the output head alone, and the model ties them: merging would change both. Keep the adapter beside the model (--adapter), or untie the head first.");
    }

    /// <summary>Writes the adapter as PEFT does.</summary>
    /// <param name="folder">The folder.</param>
    public void Save(string folder)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var content = kept.Where(item => item.Name.Length > 0).Select(item => (item.Name, item.Weight.Value)).Concat(chosen.Select(item => (item.Name, item.Weight.Value))).Concat(echoes.Select(item => (item.Name, item.Weight.Value))).ToDictionary();
        if (prompt is Prompts.ComputedPrompt computed && !content.ContainsKey(Prompts.ComputedPrompt.Key))
        {
            // PEFT's file holds what the encoder gives; the encoder lies beside it, so that training can go on.
            Tensors.Files.SafetensorsWriter.Write(Path.Combine(folder, Prompts.ComputedPrompt.EncoderFile), content);
            content = chosen.Select(item => (item.Name, item.Weight.Value)).Append((Prompts.ComputedPrompt.Key, computed.Embeddings().contiguous())).ToDictionary();
        }
        Course?.Saving(content);
        Tensors.Files.SafetensorsWriter.Write(Path.Combine(folder, "adapter_model.safetensors"), content, AdapterBase.Of(Model, basis).Metadata);
        AtomicFile.WriteText(Path.Combine(folder, "adapter_config.json"), Configuration.ToJson());
    }

    /// <summary>Detaches the adapter and frees it.</summary>
    public void Dispose()
    {
        foreach (var (target, delta) in plugged) target.Unplug(delta);
        foreach (var delta in tokens) Model.Tokens.Unplug(delta);
        foreach (var (socket, addition) in attended) socket.Unplug(addition);
        if (prompt is not null) Model.Prompt = null;
        foreach (var weight in chosen) weight.Restore();
        if (untied) Model.Tie();
        foreach (var (_, weight, _) in kept) weight.Value.Dispose();
        foreach (var tensor in owned) tensor.Dispose();
        owned.Clear();
        plugged.Clear();
        tokens.Clear();
        attended.Clear();
        chosen.Clear();
        echoes.Clear();
        kept.Clear();
        untied = false;
        prompt = null;
    }

    sealed class Resume(DeltaSet set) : IDisposable
    {
        public void Dispose()
        {
            set.State.On = true;
            foreach (var weight in set.chosen) weight.Swap();
        }
    }
}

/// <summary>One of the model's own weights that an adapter trains. What it was before is kept, so that the adapter can be switched off and detached.</summary>
sealed class ChosenWeight
{
    Tensor? other;
    bool isOther;

    internal ChosenWeight(string name, Weight weight, Tensor? value, bool trained)
    {
        (Name, Weight, Trained) = (name, weight, trained);
        weight.Widen();
        using var frozen = no_grad();
        other = weight.Value.detach().clone().DetachFromDisposeScope();
        if (value is not null) weight.Assign(value);
        else weight.Assign(other);
        weight.Before = other;
    }

    internal string Name { get; }

    internal Weight Weight { get; }

    internal bool Trained { get; }

    /// <summary>Exchanges the trained numbers and the base's.</summary>
    internal void Swap()
    {
        other = Weight.Swap(other!);
        isOther = !isOther;
        Weight.Before = isOther ? null : other;
    }

    /// <summary>Lets the trained numbers be the model's.</summary>
    internal void Keep()
    {
        Weight.Before = null;
        other?.Dispose();
        other = null;
    }

    internal void Restore()
    {
        if (other is null) return;
        if (!isOther) Swap();
        Keep();
    }
}
