using Polymath.Distributed;
using Polymath.Models.Families;
using Polymath.Recipes;
using Polymath.Training;
using Polymath.Training.Objectives;
using Polymath.Training.Optimizers;
using Polymath.Training.Schedules;
using Polymath.Training.Stages;

namespace Polymath.Tests.Models;

/// <summary>A toy model, a method and the loop, ready to take steps.</summary>
internal sealed class ToyTraining : IDisposable
{
    private readonly Loop loop;
    private readonly OptimizerSet optimizer;

    public ToyTraining(
        MethodSpec method,
        int? microTokens = null,
        Objective? objective = null,
        IReadOnlyList<Item>? items = null,
        Llama? model = null,
        int tokens = 60,
        double clip = 1,
        AdapterPlaces? places = null,
        Polymath.Distributed.Peers? peers = null,
        OptimizerSpec? optimizer = null)
    {
        Model = model ?? Toy.Model();
        Method = TrainedMethod.Attach(
            Model,
            method,
            3,
            "toy",
            places: places);
        Method.Training = true;
        items ??= [.. Toy.Rows(9, 12, 7, 8, 11, 6, 10, 5).Select(row => new Item([row]))];
        var spec = optimizer ?? new AdamwSpec(1e-2, Epsilon: 1e-4, Clip: clip);
        this.optimizer = new OptimizerSet(Method.Groups(spec));
        loop = new Loop(
            Model,
            [
                new Term(
                    objective ?? new NextToken(),
                    new CorpusItems(items, 3, "toy") { CrossesEpochs = true },
                    new BatchSpec(tokens, microTokens)),
            ],
            this.optimizer,
            new RateSchedule(spec.Rate, 1000, new ScheduleSpec(ScheduleKind.Constant)),
            peers ?? new Solo());
        Method.Begin(1000);
    }

    public Llama Model { get; }

    public TrainedMethod Method { get; }

    /// <summary>Does the steps from one to another, both included.</summary>
    public IReadOnlyList<StepReport> Train(int from, int to) =>
        [.. Enumerable.Range(from, to - from + 1).Select(step => loop.Step(step, CancellationToken.None))];

    public void Dispose()
    {
        optimizer.Dispose();
        Method.Dispose();
        Model.Dispose();
    }
}
