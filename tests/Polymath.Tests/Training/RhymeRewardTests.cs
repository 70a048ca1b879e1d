using Polymath.Recipes;
using Polymath.Tests.Text;
using Polymath.Text;
using Polymath.Training.Rewards;

namespace Polymath.Tests.Training;

/// <summary>Rhymes, and the classes of readings that they are judged by.</summary>
[Trait("kind", "unit")]
public sealed class RhymeRewardTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static double Score(string answer, int every = 2) => new RhymeReward(
        new RhymeRewardSpec("finals", every),
        character => character switch
        {
            'a' or 'b' or 'c' => "an",
            'x' or 'y' => "ou",
            _ => null,
        }).Score(answer, new Dictionary<string, string>());

    [Theory]
    [InlineData("1m，2a。3m，4b。", 1)]
    [InlineData("1m，2a。3m，4x。", 0)]
    [InlineData("1m，2a。3m，4a。", 0)]
    [InlineData("1m，2m。3m，4n。", 0)]
    [InlineData("1a，2m。3b，4n。", 0)]
    [InlineData("1m，2a。3m，4b。5m，6x。7m，8c。", 2.0 / 3)]
    [InlineData("1m，2a。3m，4x。5m，6y。7m，8b。", 1.0 / 3)]
    [InlineData("1m，2a。", 0)]
    [InlineData("", 0)]
    public void The_share_of_rhyming_lines_counts(string answer, double score) => Assert.Equal(score, Score(answer), 1e-12);

    [Fact]
    public void Every_line_may_rhyme() => Assert.Equal(0.5, Score("1a，2b。3x。", every: 1), 1e-12);

    [Fact]
    public void A_dictionary_of_readings_gives_classes_without_tones()
    {
        folder.Write("readings.js", """
            const map = { 'bǎng páng': ['膀'], líng: [ '伶', '凌' ],
                "lǜ": ["律","綠"], shān: ['山'], hm: ['噷'], yǔ: ['山', '雨'] };
            """);
        var recipe = RecipeReader.Parse(
            """
            name: r
            model: {family: llama, hiddenSize: 32, intermediateSize: 48, layers: 1, heads: 2, contextLength: 48}
            tokenizer: {kind: character}
            tables:
              finals: {kind: readings, files: readings.js, classes: {ang: 'ang$', eng: 'ing$', ü: '^(lü|yu)$', an: 'an$'}}
            data: {lines: {files: readings.js, format: txt}}
            stages: [{name: read, kind: pretrain, data: lines, steps: 1, optimizer: {rate: 1e-3}}]
            """,
            "r.yaml",
            folder.Path).OrThrow();
        var classes = new Corpora(recipe, folder.Path, new PackageCache()).Classes("finals");
        foreach (var (character, name) in new (char, string?)[]
        {
            ('膀', "ang"), ('伶', "eng"), ('凌', "eng"), ('律', "ü"), ('綠', "ü"), ('山', "an"), ('噷', null), ('雨', "ü"),
        })
            Assert.Equal(name, classes.ClassOf(character));
    }

    [Fact]
    public void A_dictionary_without_such_readings_is_refused()
    {
        folder.Write("readings.js", "a: ['x']");
        var spec = new ReadingsTableSpec(["readings.js"], new Dictionary<string, string> { ["ang"] = "ang$" });
        var fault = Assert.Throws<InputException>(() => ReadingClasses.Read("finals", [folder.At("readings.js")], spec));
        Assert.Contains("table 'finals': the 1 files have 1 entries, and no reading belongs to a class", fault.Message);
    }
}
