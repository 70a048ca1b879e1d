using System.Text.Json;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Training.Evaluation;

/// <summary>
/// Runs held-out prompts through a model before and after it is merged or converted. A model whose outputs differ too much is refused.
/// </summary>
public sealed class MergeGate
{
    /// <summary>The divergence that is allowed by default.</summary>
    public const double DefaultLimit = 1e-3;

    private readonly List<int[]> prompts;
    private readonly List<float[]> before;

    private MergeGate(List<int[]> prompts, List<float[]> before) => (this.prompts, this.before) = (prompts, before);

    /// <summary>Records a model's outputs for the prompts.</summary>
    /// <param name="model">The model before the change.</param>
    /// <param name="prompts">The prompts' tokens; repeatable random ones when there are none.</param>
    public static MergeGate Open(LanguageModel model, IReadOnlyList<int[]> prompts)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        var length = Math.Min(32, model.Sizes.ContextLength);
        List<int[]> held = prompts.Count > 0
            ? [.. prompts.Select(prompt => prompt[..Math.Min(prompt.Length, model.Sizes.ContextLength)])]
            : [.. Enumerable.Range(0, 8).Select(i =>
            {
                var random = new RandomStream(0, "gate", i);
                return Enumerable.Range(0, length).Select(_ => random.Next(model.Sizes.VocabularySize)).ToArray();
            })];
        return new MergeGate(held, [.. held.Select(prompt => Logits(model, prompt))]);
    }

    /// <summary>Compares the outputs of another model.</summary>
    /// <param name="model">The model.</param>
    public GateReport Compare(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        double worst = 0, divergence = 0;
        for (var i = 0; i < prompts.Count; i++)
        {
            var after = Logits(model, prompts[i]);
            var outputs = model.Labels?.Labels ?? model.Sizes.VocabularySize;
            for (var at = 0; at < after.Length; at++)
                worst = Math.Max(worst, double.IsNaN(after[at]) ? double.PositiveInfinity : Math.Abs((double)after[at] - before[i][at]));
            for (var row = 0; row < after.Length; row += outputs)
                divergence = Math.Max(divergence, Divergence(before[i].AsSpan(row, outputs), after.AsSpan(row, outputs)));
        }
        return new GateReport(prompts.Count, worst, divergence);
    }

    /// <summary>Compares the outputs of a written model, saves the figures next to it, and refuses it when they are too large.</summary>
    /// <param name="model">The written model.</param>
    /// <param name="folder">The folder that is being written.</param>
    /// <param name="limit">The largest divergence allowed.</param>
    /// <exception cref="InputException">The difference is larger.</exception>
    public GateReport Pass(LanguageModel model, string folder, double limit)
    {
        var report = Compare(model);
        if (!(report.Divergence <= limit))
            throw new InputException($"The result gives other outputs: over {report.Prompts} prompts logits differ by up to "
                + $"{report.Logit:G3} and a next token by {report.Divergence:G3} nats, more than the {limit:G3} allowed. Nothing was "
                + $"written. Take a wider type or a larger rank, or allow more: --gate {report.Divergence * 1.1:G2}.");
        Write(report, folder, limit);
        return report;
    }

    /// <summary>Compares the model into which a stage has merged its adapter, and always saves the figures in the stage's folder.</summary>
    /// <param name="model">The merged model.</param>
    /// <param name="folder">The stage's folder.</param>
    /// <param name="limit">The largest divergence allowed.</param>
    /// <exception cref="RunFailedException">The difference is larger.</exception>
    public GateReport Settle(LanguageModel model, string folder, double limit)
    {
        var report = Compare(model);
        Write(report, folder, limit);
        return report.Divergence <= limit ? report : throw new RunFailedException(
            $"The merged model gives other outputs than the model with its adapter: over {report.Prompts} rows of the stage's data logits "
                + $"differ by up to {report.Logit:G3} and a next token by {report.Divergence:G3} nats, more than the {limit:G3} allowed "
                + $"({Path.Combine(folder, "gate.json")}). The merged model was not written; the adapter is kept in "
                + $"{Path.Combine(folder, "adapter")}. Keep it apart (method: merge: false), or merge it yourself: polymath adapter "
                + "merge.");
    }

    // JSON has no infinity.
    private static void Write(GateReport report, string folder, double limit) =>
        AtomicFile.WriteText(
            Path.Combine(folder, "gate.json"),
            JsonSerializer.Serialize(
                new
                {
                    prompts = report.Prompts, largest_logit_difference = Math.Min(report.Logit, double.MaxValue),
                    largest_divergence = Math.Min(report.Divergence, double.MaxValue), limit, passed = report.Divergence <= limit,
                },
                JsonLayout.Indented) + "\n");

    private static float[] Logits(LanguageModel model, int[] prompt)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        // For an encoder-decoder, the outputs of an answer to the prompt are compared.
        using var batch = model.Reading == Reading.EncoderDecoder && model.Labels is null
            ? model.LayPairs([prompt], [new TokenRow(prompt, new float[prompt.Length], "")])
            : model.Lay([new TokenRow(prompt, new float[prompt.Length], "")]);
        var hidden = model.Hidden(batch);
        return (model.Labels is { } head ? head.Scores(hidden, batch) : model.Unembed(hidden))
            .to(ScalarType.Float32).contiguous().data<float>().ToArray();
    }

    // Σ p·(log p − log q), in double precision.
    private static double Divergence(ReadOnlySpan<float> p, ReadOnlySpan<float> q)
    {
        static double Total(ReadOnlySpan<float> x)
        {
            double top = double.NegativeInfinity, sum = 0;
            foreach (var value in x) top = Math.Max(top, value);
            foreach (var value in x) sum += Math.Exp(value - top);
            return top + Math.Log(sum);
        }

        double first = Total(p), second = Total(q), result = 0;
        for (var i = 0; i < p.Length; i++) result += Math.Exp(p[i] - first) * (p[i] - first - (q[i] - second));
        return double.IsNaN(result) ? double.PositiveInfinity : Math.Max(0, result);
    }
}
