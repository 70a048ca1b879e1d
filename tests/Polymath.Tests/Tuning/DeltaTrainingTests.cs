using Polymath.Distributed;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Training;
using Polymath.Training.Checkpoints;
using Polymath.Training.Objectives;
using Polymath.Training.Optimizers;
using Polymath.Training.Schedules;
using Polymath.Tuning;
using static Polymath.Tests.Tuning.DeltaKinds;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>
/// Training of every kind of adapter, on three families: what changes, how it resumes, and blocks that are computed again.
/// </summary>
// Random numbers come from one generator of the whole process.
[Trait("kind", "invariant")]
[Collection(Alone.Name)]
public sealed class DeltaTrainingTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private sealed class Job : IDisposable
    {
        private readonly Loop loop;
        private readonly CorpusItems source;
        private readonly OptimizerSet optimizer;
        private int step;

        public Job(string family, string kind, bool moved = false, bool dropped = true)
        {
            Model = Open(family);
            foreach (var weight in Model.Weights) weight.Trainable = false;
            Set = Fresh(Model, kind, moved, dropped);
            foreach (var weight in Set.Weights) weight.Trainable = true;
            var spec = new AdamwSpec(1e-2, Epsilon: 1e-6, WeightDecay: 0);
            optimizer = new OptimizerSet([new WeightGroup(
                "",
                [.. Set.Weights],
                spec,
                null,
                Set.Penalty,
                Set.Course is { Follows: true } course ? course.Stepped : null)]);
            source = new CorpusItems([.. Rows().Concat([Row(12, 7, 5, 9), Row(8, 5, 12, 7, 6)]).Select(row => new Item([row]))], 3, "job");
            loop = new Loop(
                Model,
                [new Term(new NextToken(), source, new BatchSpec(8))],
                optimizer,
                new RateSchedule(spec.Rate, 10, new ScheduleSpec(ScheduleKind.Linear)),
                new Solo());
            Set.Course?.Begin(10);
            manual_seed(7);
        }

        public LanguageModel Model { get; }

        public DeltaSet Set { get; }

        public Job Steps(int count)
        {
            Set.Training = true;
            for (var i = 0; i < count; i++) loop.Step(++step, CancellationToken.None);
            Set.Training = false;
            return this;
        }

        public void Save(Checkpoint saves)
        {
            using var random = get_rng_state();
            saves.Save(
                optimizer,
                new CheckpointState(
                    step,
                    [source.Cursor],
                    Convert.ToBase64String(random.bytes),
                    0,
                    0,
                    0,
                    []),
                Set.Course?.Memory);
        }

        public Job Resume(Checkpoint saves)
        {
            var state = saves.Newest(fault => Assert.Fail(fault))!;
            saves.Restore(state.Step, optimizer, Set.Course?.Memory);
            (step, source.Cursor) = (state.Step, state.Cursors[0]);
            using var random = tensor(Convert.FromBase64String(state.TorchRandom));
            set_rng_state(random);
            return this;
        }

        public List<(string Name, float[] Values)> Trained =>
            [.. Set.Trained.Select(item => (item.Name, Samples.Floats(item.Weight.Value)))];

        public void Dispose()
        {
            optimizer.Dispose();
            Set.Dispose();
            Model.Dispose();
        }
    }

    [Theory]
    [MemberData(nameof(Pairs), MemberType = typeof(DeltaKinds))]
    public void Four_steps_are_two_steps_a_checkpoint_and_two_steps_of_another_model(string family, string kind)
    {
        var saves = new Checkpoint(folder.Path, new CheckpointSettings());
        using var whole = new Job(family, kind).Steps(4);
        using (var first = new Job(family, kind).Steps(2)) first.Save(saves);
        // Whatever was drawn meanwhile.
        using var drawn = rand(5);
        using var second = new Job(family, kind).Resume(saves).Steps(2);
        Assert.Equal(whole.Trained.Select(pair => pair.Name), second.Trained.Select(pair => pair.Name));
        Assert.All(whole.Trained.Zip(second.Trained), pair => Assert.Equal(pair.First.Values, pair.Second.Values));
        Assert.Equal(Logits(whole.Model), Logits(second.Model));
    }

    [Theory]
    [MemberData(nameof(Pairs), MemberType = typeof(DeltaKinds))]
    public void Each_of_its_parameters_moves_and_no_other_weight_of_the_model(string family, string kind)
    {
        using var job = new Job(family, kind, moved: true, dropped: false);
        var own = job.Set.Weights.ToHashSet();
        var others = job.Model.Weights.Where(weight => !own.Contains(weight)).ToList();
        List<float[]> Base() => [.. others.Select(weight => Samples.Floats(weight.Value))];
        var (before, basis) = (job.Trained, Base());
        job.Steps(3);
        Assert.All(
            before.Zip(job.Trained),
            pair => Assert.False(pair.First.Values.SequenceEqual(pair.Second.Values), $"{pair.First.Name} has not moved"));
        Assert.Equal(basis, Base());
    }

    [Theory]
    [MemberData(nameof(Pairs), MemberType = typeof(DeltaKinds))]
    public void Blocks_that_are_computed_anew_give_its_gradients(string family, string kind)
    {
        using var job = new Job(family, kind, moved: true);
        job.Set.Training = true;
        List<(string Name, float[]? Values)> Gradients(bool anew)
        {
            manual_seed(7);
            job.Model.GradientCheckpointing = anew;
            using var scope = NewDisposeScope();
            // More tokens than the kernels of generating take.
            using var batch = job.Model.Lay([.. Rows(), .. Rows(), .. Rows(), .. Rows()]);
            Fused.Backpropagate(job.Model.NegativeLogLikelihood(batch));
            List<(string, float[]?)> found = [.. job.Set.Trained.Select(
                item => (item.Name, item.Weight.Value.grad is { } gradient ? Samples.Floats(gradient) : null))];
            foreach (var weight in job.Set.Weights) weight.ClearGradient();
            return found;
        }
        // When nothing is recorded, libtorch folds the dimensions of a product in another way, which changes the last bits of later
        // results.
        var within = Samples.Ulps(256);
        var kept = Gradients(false);
        Assert.Contains(kept, pair => pair.Values is not null);
        foreach (var ((name, wanted), (_, found)) in kept.Zip(Gradients(true)))
            Assert.True(
                wanted is null == found is null && (wanted is null || Samples.Gap(wanted, found) <= within),
                $"{name}: {(wanted is null || found is null ? "one has none" : Samples.Gap(wanted, found))}");
    }
}
