using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>
/// One adapter, attached to a model: deltas in its sockets, a prompt before its rows, weights of its own that are trained.
/// </summary>
public sealed partial class DeltaSet : IDisposable
{
    private readonly List<(Projection Target, Delta Delta)> plugged = [];
    private readonly List<TokenDelta> tokens = [];
    private readonly List<(AttentionSocket Socket, AttentionAddition Addition)> attended = [];
    private readonly List<(string Name, Weight Weight, bool Trained)> kept = [];
    private readonly List<ChosenWeight> chosen = [];
    private readonly List<(string Name, Weight Weight)> echoes = [];
    private readonly List<Tensor> owned = [];
    private bool untied;
    private SoftPrompt? prompt;

    private DeltaSet(LanguageModel model, AdapterConfiguration configuration) =>
        (Model, Configuration, basis) = (model, configuration, model.Unrounded ?? ModelSignature.Of(model));

    // The model before attaching: a method may quantize it (LoftQ).
    private readonly ModelSignature basis;

    /// <summary>The adapter's settings, as in PEFT's <c>adapter_config.json</c>.</summary>
    public AdapterConfiguration Configuration { get; }

    /// <summary>The model the adapter is attached to.</summary>
    public LanguageModel Model { get; }

    /// <summary>Whether the deltas apply, and whether they are being trained.</summary>
    internal DeltaSwitch State { get; } = new();

    /// <summary>The method's extra work around training steps; null for none.</summary>
    public DeltaCourse? Course { get; internal set; }

    /// <summary>The tokens that the adapter applies to.</summary>
    internal DeltaPlaces Places { get; } = new();

    /// <summary>The trained weights, by their names in files.</summary>
    public IReadOnlyList<(string Name, Weight Weight)> Trained => [
        .. kept.Where(item => item.Trained).Select(item => (item.Name, item.Weight)),
        .. chosen.Where(item => item.Trained).Select(item => (item.Name, item.Weight)),
    ];

    /// <summary>The weights that are trained.</summary>
    public IEnumerable<Weight> Weights => Trained.Select(item => item.Weight);

    /// <summary>The deltas, with the projections they are attached to.</summary>
    public IReadOnlyList<(Projection Target, Delta Delta)> Plugged => plugged;

    /// <summary>Whether the deltas are being trained.</summary>
    public bool Training
    {
        get => State.Training;
        set => State.Training = value;
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

    // A file may hold a weight a second time under another name; it is written twice again.
    internal void Echo(string name, Weight weight) => echoes.Add((name, weight));

    internal void Untie()
    {
        if (untied) return;
        untied = true;
        Model.Untie();
    }

    /// <summary>The method's regularization term of the loss, or null.</summary>
    public Tensor? Penalty()
    {
        var bent = plugged.Select(pair => pair.Delta).OfType<Deltas.AdaLora>().ToList();
        return bent.Count == 0
            ? null
            : bent.Aggregate(zeros(1), (sum, delta) => sum + delta.Skewness())
                * (Configuration.Number("orth_reg_weight", 0.5) / bent.Count);
    }

    /// <summary>Switches the adapter off until the result is disposed: the model is the base, the reference policy of alignment.</summary>
    public IDisposable Off()
    {
        State.On = false;
        foreach (var weight in chosen) weight.Swap();
        return new Resume(this);
    }


    /// <summary>Writes the adapter as PEFT does.</summary>
    /// <param name="folder">The folder.</param>
    public void Save(string folder)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var content = kept.Where(item => item.Name.Length > 0).Select(item => (item.Name, item.Weight.Value))
            .Concat(chosen.Select(item => (item.Name, item.Weight.Value)))
            .Concat(echoes.Select(item => (item.Name, item.Weight.Value)))
            .ToDictionary();
        if (prompt is Prompts.ComputedPrompt computed
            && !content.Keys.Any(name => name.EndsWith(Prompts.ComputedPrompt.Key, StringComparison.Ordinal)))
        {
            // PEFT's file holds the encoder's output; the encoder is saved next to it, so that training can continue.
            Tensors.Files.SafetensorsWriter.Write(Path.Combine(folder, Prompts.ComputedPrompt.EncoderFile), content);
            content = chosen.Select(item => (item.Name, item.Weight.Value))
                .Concat(computed.Computed().Select(pair => (pair.Key, pair.Value.contiguous()))).ToDictionary();
        }
        Course?.Saving(content);
        Tensors.Files.SafetensorsWriter.Write(
            Path.Combine(folder, "adapter_model.safetensors"), content, AdapterBase.Of(Model, basis).Metadata);
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

    private sealed class Resume(DeltaSet set) : IDisposable
    {
        public void Dispose()
        {
            set.State.On = true;
            foreach (var weight in set.chosen) weight.Swap();
        }
    }
}
