using System.Diagnostics;
using Polymath.Recipes;
using Polymath.Tests.Text;
using Polymath.Training.Rewards;

namespace Polymath.Tests.Training;

/// <summary>Programs that score: what they say is used, and what goes wrong with them is counted and survived.</summary>
[Trait("kind", "unit")]
public sealed class ProgramRewardTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    // Answers by what each line asks for.
    private const string Script = """
        while IFS= read -r line; do
          case "$line" in
            *length*) echo '{"score": 0.25}' ;;
            *none*) echo '{"score": null}' ;;
            *rubbish*) echo 'hello' ;;
            *text*) echo '{"score": "high"}' ;;
            *infinite*) echo '{"score": 1e999}' ;;
            *die*) echo 'no memory' >&2; exit 3 ;;
            *hang*) sleep 60 ;;
            *) echo '{"score": 1}' ;;
          esac
        done
        """;

    private ProgramReward Reward(int workers = 1, double? failure = null, double seconds = 0.5)
    {
        File.WriteAllText(folder.At("score.sh"), Script);
        return new ProgramReward(new ProgramRewardSpec(["sh", "score.sh"], seconds, workers, failure), folder.Path);
    }

    private static List<AskedAnswer> Asked(params string[] answers) =>
        [.. answers.Select(answer => new AskedAnswer("what", answer, new Dictionary<string, string> { ["field"] = "值" }))];

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Each_answer_gets_its_own_score_however_many_run(int workers)
    {
        if (OperatingSystem.IsWindows()) return;
        using var reward = Reward(workers, seconds: 20);
        var scores = reward.Scores(Asked("a", "length", "none", "b", "length"), TestContext.Current.CancellationToken);
        Assert.Equal([1, 0.25, double.NaN, 1, 0.25], scores);
        Assert.Empty(reward.Failures());
    }

    [Fact]
    public void A_program_that_fails_is_counted_and_started_again()
    {
        if (OperatingSystem.IsWindows()) return;
        using var reward = Reward();
        var started = Stopwatch.GetTimestamp();
        var scores = reward.Scores(
            Asked("rubbish", "a", "die", "length", "hang", "b", "text", "infinite"),
            TestContext.Current.CancellationToken);
        Assert.Equal([double.NaN, 1, double.NaN, 0.25, double.NaN, 1, double.NaN, double.NaN], scores);
        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalSeconds, 0.5, 30);
        var failures = reward.Failures();
        Assert.Equal(5, failures.Values.Sum());
        Assert.Contains("ended with exit code 3: no memory", failures.Keys);
        Assert.Contains("took longer than 0.5 s", failures.Keys);
        Assert.Contains(failures.Keys, reason => reason.Contains("hello", StringComparison.Ordinal));
        Assert.Empty(reward.Failures());
    }

    [Fact]
    public void A_failure_may_have_a_reward_of_its_own()
    {
        if (OperatingSystem.IsWindows()) return;
        using var reward = Reward(failure: -1);
        Assert.Equal([-1, 1], reward.Scores(Asked("rubbish", "a"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public void A_program_that_is_not_there_is_named()
    {
        using var reward = new ProgramReward(new ProgramRewardSpec(["./missing-program"]), folder.Path);
        var refused = Assert.Throws<InputException>(() => reward.Scores(Asked("a"), TestContext.Current.CancellationToken));
        Assert.Contains("./missing-program cannot be started", refused.Message);
    }
}
