using System.Globalization;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Explained variance adaptation (Paischer et al. 2024): A starts as the leading principal directions of each map's input on the first rows
/// of the data, B at zero. The ranks are distributed over the maps by the share of the variance that each direction explains, at most ρ·r
/// per map; their total does not change. α grows with a map's rank, so the scale does not change.
/// </summary>
internal sealed class Eva : DeltaCourse
{
    private const string Key = "eva_config";

    private static readonly string[] known = ["rho", "use_label_mask", "whiten", "adjust_scaling_factors", "rows"];

    private readonly AdapterConfiguration configuration;
    private readonly LanguageModel model;
    private readonly IReadOnlyList<(Projection Target, Lora Delta)> deltas;
    private readonly Dictionary<Lora, Tensor> found = [];
    private readonly DeltaParts parts;
    private readonly double rho;
    private readonly int rows;

    internal Eva(DeltaParts parts, IReadOnlyList<(Projection Target, Lora Delta)> deltas)
    {
        (this.parts, configuration, model, this.deltas) = (parts, parts.Configuration, parts.Model, deltas);
        (rho, rows) = Check(configuration);
    }

    /// <summary>Throws when the settings are wrong.</summary>
    /// <returns>ρ and the number of rows.</returns>
    internal static (double Rho, int Rows) Check(AdapterConfiguration configuration)
    {
        foreach (var (key, _) in configuration.Parts(Key) ?? [])
            // PEFT's tau stops when the directions no longer change; here the number of rows is a setting.
            if (!known.Contains(key) && !(key is "tau" or "label_mask_value"))
                throw configuration.Fault(Key, $"{key} is not known; known are {string.Join(", ", known)}");
        var rho = Number(configuration, "rho", 2);
        if (!(rho >= 1)) throw configuration.Fault(Key, "rho is a number from 1");
        return (
            rho,
            Number(configuration, "rows", 64) is >= 1 and <= 1e6 and var number && number == Math.Floor(number)
                ? (int)number
                : throw configuration.Fault(Key, "rows is the number of rows to read, from 1"));
    }

    private static JsonNode? Setting(AdapterConfiguration configuration, string key) => configuration.Parts(Key)?[key];

    private static double Number(AdapterConfiguration configuration, string key, double otherwise)
    {
        if (Setting(configuration, key) is not { } node) return otherwise;
        return double.TryParse(node.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw configuration.Fault(Key, $"{key} is a number");
    }

    private bool Flag(string key, bool otherwise)
    {
        if (Setting(configuration, key) is not { } node) return otherwise;
        return bool.TryParse(node.ToJsonString(), out var flag) ? flag : throw configuration.Fault(Key, $"{key} is true or false");
    }

    /// <inheritdoc/>
    public override bool Looks => true;

    private int Most(Lora delta) => (int)Math.Round(delta.A.Shape[0] * rho, MidpointRounding.ToEven);

    /// <inheritdoc/>
    public override void Look(IEnumerable<Tensor> losses)
    {
        using var frozen = no_grad();
        var seen = deltas.ToDictionary(
            pair => pair.Delta, pair => new InputDirections((int)Math.Min(2 * Most(pair.Delta), pair.Target.InputWidth)));
        var watching = deltas.Select(pair => (pair.Target, Delta: (Delta)new Watching(x => seen[pair.Delta].Add(Own(x))))).ToList();
        var before = model.Router;
        try
        {
            model.Router = new Noting(this, before);
            foreach (var (target, delta) in watching) target.Plug(delta);
            foreach (var _ in losses.Take(rows))
            {
            }
            Deal(seen);
        }
        finally
        {
            foreach (var (target, delta) in watching) target.Unplug(delta);
            foreach (var directions in seen.Values) directions.Dispose();
            (model.Router, batch) = (before, null);
        }
    }

    private Batch? batch;

    private sealed class Noting(Eva owner, RowRouter? inner) : RowRouter
    {
        public override void Enter(Batch entering)
        {
            inner?.Enter(entering);
            owner.batch = entering;
        }

        public override void Expect(IReadOnlyList<string?> data) => inner?.Expect(data);
    }

    // The rows of x whose tokens are learned, or all rows when all are requested or the targets are unknown: an expert sees only some
    // tokens, and a mask hides its own.
    private Tensor Own(Tensor x)
    {
        if (!Flag("use_label_mask", true) || batch is null || model.Reading != Reading.Decoder
            || x.size(0) != batch.Tokens || batch.Places.numel() == 0)
            return x;
        return x.index_select(0, batch.Places + 1);
    }

    private void Deal(Dictionary<Lora, InputDirections> seen)
    {
        using var scope = NewDisposeScope();
        var leading = deltas.ToDictionary(pair => pair.Delta, pair => seen[pair.Delta].Rows > 0
            ? seen[pair.Delta].Leading(Most(pair.Delta))
            : throw new InputException($"{configuration.Origin}: EVA saw no input of {pair.Target.Name} on {rows} rows (an expert that "
                + "no token used?). Read more rows (eva_config: rows), or name other sockets."));
        var budget = (int)deltas.Sum(pair => pair.Delta.A.Shape[0]);
        var counts = deltas.SelectMany(pair => leading[pair.Delta].Shares.Select(share => (pair.Delta, share)))
            .OrderByDescending(item => item.share).Take(budget).CountBy(item => item.Delta).ToDictionary();
        if (counts.Values.Sum() < budget)
            throw new InputException($"{configuration.Origin}: EVA found {counts.Values.Sum()} directions in {rows} rows, but the ranks "
                + $"need {budget}. Read more rows (eva_config: rows), or lower r.");
        foreach (var (_, delta) in deltas)
        {
            var (directions, values, _) = leading[delta];
            var rank = counts.GetValueOrDefault(delta);
            var first = directions.narrow(0, 0, rank);
            if (Flag("whiten", false)) first = first / values.narrow(0, 0, rank).sqrt().unsqueeze(1);
            found[delta] = parts.Own(first.to(ScalarType.Float32).contiguous());
        }
    }

    /// <inheritdoc/>
    public override void Saving(Dictionary<string, Tensor> content)
    {
        if (found.Count == 0)
            throw new InputException($"{configuration.Origin}: EVA starts from data and has seen none. Train the adapter in a stage, or "
                + "use another init_lora_weights.");
        var (rank, alpha) = (configuration.Whole("r", 8), configuration.Number("lora_alpha", 8));
        JsonObject ranks = [], alphas = [];
        foreach (var (target, delta) in deltas)
        {
            var a = found[delta];
            if (a.size(0) == 0)
            {
                foreach (var weight in delta.Weights) content.Remove(weight.Name);
                continue;
            }
            content[delta.A.Name] = a;
            if (a.size(0) != delta.A.Shape[0]) content[delta.B.Name] = zeros(target.OutputWidth, a.size(0));
            if (a.size(0) != rank) ranks[target.Name] = a.size(0);
            var own = configuration.Special("alpha_pattern", target.Name, alpha)
                * (Flag("adjust_scaling_factors", true) ? (double)a.size(0) / delta.A.Shape[0] : 1);
            if (own != alpha) alphas[target.Name] = own;
        }
        if (found.Values.Any(a => a.size(0) == 0))
            configuration.Set("target_modules", new JsonArray(
                [.. deltas.Where(pair => found[pair.Delta].size(0) > 0).Select(pair => JsonValue.Create(pair.Target.Name))]));
        configuration.Set("rank_pattern", ranks);
        configuration.Set("alpha_pattern", alphas);
        configuration.Started();
    }
}
