using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>Estimates the reward that is still to come, at the places of sampled answers.</summary>
public abstract class Critic : IDisposable
{
    /// <summary>The weights that are trained besides those of the policy.</summary>
    public abstract IReadOnlyList<Weight> Weights { get; }

    /// <summary>The values [places], with a gradient: before each token of an answer, and behind the end of those that ended.</summary>
    /// <param name="hidden">The policy's hidden states [tokens, width].</param>
    /// <param name="batch">The rows as the policy reads them.</param>
    /// <param name="rows">The rows.</param>
    /// <param name="places">The number of places of each row.</param>
    public abstract Tensor Values(Tensor hidden, Batch batch, IReadOnlyList<TokenRow> rows, IReadOnlyList<int> places);

    /// <summary>Writes what it has learned.</summary>
    /// <param name="folder">The folder.</param>
    public abstract void Save(string folder);

    /// <summary>The places in a batch [places], 64-bit.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">Its rows.</param>
    /// <param name="places">The number of places of each row.</param>
    internal static Tensor PlacesIn(Batch batch, IReadOnlyList<TokenRow> rows, IReadOnlyList<int> places)
    {
        var all = new List<long>();
        for (var row = 0; row < rows.Count; row++)
        {
            // Virtual tokens stand before a row, so places are counted from its end.
            for (var place = 0; place < places[row]; place++) all.Add(batch.PlaceOf(row, rows[row].Targets - place));
        }
        return tensor(all.ToArray(), device: batch.Places.device);
    }

    /// <summary>Frees what it owns.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what it owns.</summary>
    /// <param name="disposing">Whether it is called by <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}

/// <summary>A value head on the policy's own hidden states, which learns with the policy: V = w·h + b, 0 before the first step.</summary>
public sealed class TrunkCritic : Critic
{
    private readonly Weight map, bias;

    /// <summary>A head that has learned nothing.</summary>
    /// <param name="width">The width of hidden states.</param>
    /// <param name="device">Where they lie.</param>
    public TrunkCritic(int width, Device? device = null)
    {
        (map, bias) = (new Weight("value.weight", zeros(width, device: device)), new Weight("value.bias", zeros(1, device: device)));
        foreach (var weight in Weights) weight.Trainable = true;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights => [map, bias];

    /// <inheritdoc/>
    public override Tensor Values(Tensor hidden, Batch batch, IReadOnlyList<TokenRow> rows, IReadOnlyList<int> places)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        ArgumentNullException.ThrowIfNull(batch);
        return (hidden.index_select(0, PlacesIn(batch, rows, places)) * map.Value).sum(-1) + bias.Value;
    }

    /// <inheritdoc/>
    public override void Save(string folder) => SafetensorsWriter.Write(
        Path.Combine(folder, "value.safetensors"), Weights.ToDictionary(weight => weight.Name, weight => weight.Value));

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            foreach (var weight in Weights) weight.Value.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>A model of its own with a head of one score, such as the reward model itself (Ouyang et al. 2022, section 3.5).</summary>
public sealed class ModelCritic : Critic
{
    private readonly TextModel model;

    /// <summary>A critic that starts from a reward model.</summary>
    /// <param name="model">The model; the critic owns it.</param>
    /// <exception cref="InputException">It has no head of one score.</exception>
    public ModelCritic(TextModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        this.model = model;
        if (model.Model.Labels is not { Task: LabelTask.Regress, Labels: 1 })
            throw new InputException("The critic has no head of one score. Name a reward model: a stage of the kind reward, or a folder.");
        foreach (var weight in model.Model.Weights) weight.Trainable = true;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights => model.Model.Weights;

    /// <inheritdoc/>
    public override Tensor Values(Tensor hidden, Batch batch, IReadOnlyList<TokenRow> rows, IReadOnlyList<int> places)
    {
        using var own = model.Model.Lay(rows);
        var states = model.Model.Hidden(own).index_select(0, PlacesIn(own, rows, places));
        return model.Model.Labels!.ScoresOf(states).squeeze(1);
    }

    /// <inheritdoc/>
    public override void Save(string folder) => model.Save(folder);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) model.Dispose();
        base.Dispose(disposing);
    }
}
