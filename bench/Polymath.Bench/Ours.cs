using Polymath.Distributed;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Models.Families;
using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Training;
using Polymath.Training.Objectives;
using Polymath.Training.Optimizers;
using Polymath.Training.Schedules;
using Polymath.Training.Stages;

namespace Polymath.Bench;

/// <summary>Polymath's own path: ragged rows, logits only for targets, fused kernels, one-pass AdamW.</summary>
internal static class Ours
{
    /// <param name="steps">The steps.</param>
    /// <param name="folder">The model; one of random weights when left out.</param>
    /// <param name="microTokens">The tokens of a pass.</param>
    /// <param name="checkpointing">Whether blocks are computed again in the backward pass.</param>
    /// <param name="method">What is trained; a LoRA when left out.</param>
    internal static IEnumerable<(int Tokens, double Loss)> Train(
        int steps,
        string? folder = null,
        int microTokens = 640,
        bool checkpointing = false,
        MethodSpec? method = null)
    {
        using var model = folder is null ? new Llama(Workload.Configuration, new Models.FreshWeights(1)) : ModelFolder.Open(folder);
        model.GradientCheckpointing = checkpointing;
        using var trained = TrainedMethod.Attach(model, method ?? new LoraMethod(R: Workload.Rank, LoraAlpha: 32), 1, "bench");
        using var optimizer = new OptimizerSet(trained.Weights, new AdamwSpec(1e-4));
        var source = new Rows(steps);
        using var peers = new Solo();
        for (var step = 1; step <= steps; step++)
        {
            source.Current = step - 1;
            // A step has exactly its eight rows; a pass has as many of them as fit into its tokens.
            var batch = new BatchSpec(Workload.Step(step - 1).Sum(row => row.Ids.Length), MicroTokens: microTokens);
            var loop = new Loop(
                model,
                [new Term(new NextToken(), source, batch)],
                optimizer,
                new RateSchedule(1e-4, steps, new ScheduleSpec(ScheduleKind.Constant)),
                peers);
            var report = loop.Step(step, default);
            yield return ((int)report.Tokens, report.Loss);
        }
    }

    /// <summary>The model, made before the clock starts, like the plain one.</summary>
    internal static Llama Model() => new(Workload.Configuration, new Models.FreshWeights(1));

    internal static int Generate(Llama model, int tokens)
    {
        return new TokenGenerator(model, [])
            .Generate([Workload.Step(0)[1].Ids], new SamplingSettings(Temperature: 0, MaxNewTokens: tokens))[0].Length;
    }

    private sealed class Rows(int steps) : ItemSource
    {
        internal int Current { get; set; }

        public override int Count => Workload.RowsOfPass * Workload.PassesOfStep * steps;

        protected override Item At(Cursor cursor)
        {
            var perStep = Workload.RowsOfPass * Workload.PassesOfStep;
            var (ids, first) = Workload.Step(Current)[cursor.Place % perStep];
            return new Item([new TokenRow(ids, [.. ids.Select((_, i) => i >= first ? 1f : 0f)], "")]);
        }
    }
}
