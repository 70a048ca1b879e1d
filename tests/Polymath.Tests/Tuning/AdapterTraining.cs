using Polymath.Distributed;
using Polymath.Models.Families;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Training;
using Polymath.Training.Objectives;
using Polymath.Training.Optimizers;
using Polymath.Training.Schedules;
using Polymath.Training.Stages;

namespace Polymath.Tests.Tuning;

/// <summary>A toy model that learns with the adapters of a stage, step by step.</summary>
internal sealed class AdapterTraining : IDisposable
{
    private readonly OptimizerSet optimizer;
    private readonly Loop loop;
    private readonly InOrder source;
    private readonly List<Item> items;
    private int step;

    public AdapterTraining(
        AdaptersMethod method,
        AdapterPlaces places,
        IReadOnlyList<Item> items,
        int tokens,
        int? microTokens,
        int from,
        Objective objective)
    {
        Model = Toy.Model();
        this.items = [.. items];
        Method = TrainedMethod.Attach(
            Model,
            method,
            3,
            "stage",
            places: places);
        var usual = new AdamwSpec(1e-2, Epsilon: 1e-6, WeightDecay: 0.1);
        optimizer = new OptimizerSet(Method.Groups(usual));
        Method.TakeUp(optimizer);
        step = from;
        source = new InOrder(this.items) { Cursor = new Cursor(0, from * tokens / 10) };
        loop = new Loop(
            Model,
            [new Term(objective, source, new BatchSpec(tokens, microTokens))],
            optimizer,
            new RateSchedule(usual.Rate, 100, new ScheduleSpec(ScheduleKind.Constant)),
            new Solo());
    }

    public Llama Model { get; }

    public TrainedMethod Method { get; }

    public AdapterTraining Steps(int count)
    {
        Method.Training = true;
        for (var i = 0; i < count; i++) loop.Step(++step, CancellationToken.None);
        Method.Training = false;
        return this;
    }

    public void Finish(string folder) => Method.Finish(folder, optimizer: optimizer);

    public Dictionary<string, float[]> Values(string group) => optimizer.Groups.Where(one => one.Name == group || group.Length == 0)
        .SelectMany(one => one.Weights.Select(
            weight => (one.NameOf(weight)[(one.Name.Length == 0 ? 0 : one.Name.Length + 1)..], Samples.Floats(weight.Value))))
        .ToDictionary();

    public void Dispose()
    {
        optimizer.Dispose();
        Method.Dispose();
        Model.Dispose();
    }

    private sealed class InOrder(IReadOnlyList<Item> items) : ItemSource
    {
        public override int Count => items.Count;

        protected override Item At(Cursor cursor) => items[cursor.Place];
    }
}
