using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Chooses the elements that are most important for the data (FISH, Sung et al. 2021, eq. 4 and 5): those with the largest Fisher
/// information, which is the mean over rows of the squared gradient of a row's loss.
/// </summary>
internal sealed class FisherMask : DeltaCourse
{
    /// <summary>The setting for the number of rows to read.</summary>
    internal const string RowsKey = "fisher_rows";

    private readonly AdapterConfiguration configuration;
    private readonly DeltaParts parts;
    private readonly IReadOnlyList<(Projection Target, long Count)> targets;
    private readonly Action<Dictionary<string, Tensor>, Projection, Tensor> write;
    private readonly Dictionary<Projection, Tensor> found = [];
    private readonly bool together;
    private readonly int rows;

    /// <summary>Chooses elements of maps.</summary>
    /// <param name="parts">The method's parts.</param>
    /// <param name="targets">The maps and the elements of each.</param>
    /// <param name="together">Whether elements are chosen from all maps together, as in the paper.</param>
    /// <param name="write">Writes the places [n] of a map's chosen elements, in order.</param>
    internal FisherMask(
        DeltaParts parts,
        IReadOnlyList<(Projection Target, long Count)> targets,
        bool together,
        Action<Dictionary<string, Tensor>, Projection, Tensor> write)
    {
        (this.parts, configuration, this.targets, this.together, this.write) = (parts, parts.Configuration, targets, together, write);
        rows = configuration.Whole(RowsKey, 64);
    }

    /// <inheritdoc/>
    public override bool Looks => true;

    /// <inheritdoc/>
    public override void Look(IEnumerable<Tensor> losses)
    {
        var information = targets.ToDictionary(
            pair => pair.Target, pair => zeros(pair.Target.OutputWidth, pair.Target.InputWidth).DetachFromDisposeScope());
        var probes = targets.Select(pair => (pair.Target, Probe: new Probe(pair.Target))).ToList();
        try
        {
            foreach (var (target, probe) in probes) target.Plug(probe);
            foreach (var loss in losses.Take(rows))
            {
                Fused.Backpropagate(loss);
                foreach (var (target, probe) in probes)
                    using (var gradient = probe.Take())
                        if (gradient is not null) information[target].addcmul_(gradient, gradient, 1);
            }
            Choose(information);
        }
        finally
        {
            foreach (var (target, probe) in probes)
            {
                target.Unplug(probe);
                probe.Dispose();
            }
            foreach (var tensor in information.Values) tensor.Dispose();
        }
    }

    private void Choose(Dictionary<Projection, Tensor> information)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        if (!together)
        {
            foreach (var (target, count) in targets) Keep(target, information[target].flatten().topk((int)count).indexes);
            return;
        }
        var chosen = cat([.. targets.Select(pair => information[pair.Target].flatten())])
            .topk((int)targets.Sum(pair => pair.Count)).indexes;
        var first = 0L;
        foreach (var (target, _) in targets)
        {
            var size = target.OutputWidth * target.InputWidth;
            Keep(target, chosen.masked_select(chosen.ge(first) & chosen.lt(first + size)) - first);
            first += size;
        }
    }

    private void Keep(Projection target, Tensor places) => found[target] = parts.Own(places.sort().Values.contiguous());

    /// <inheritdoc/>
    public override void Saving(Dictionary<string, Tensor> content)
    {
        if (found.Count == 0)
            throw new InputException($"{configuration.Origin}: a mask by Fisher information is chosen from data, and none was seen. Train "
                + "the adapter in a stage, or choose by magnitude or random.");
        foreach (var (target, places) in found) write(content, target, places);
    }
}
