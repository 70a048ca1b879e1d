using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Tests.Peers;

/// <summary>
/// The suite <c>templates</c>: published chat templates, in the folder that <c>POLYMATH_TEMPLATES</c> names (such as TRL's
/// <c>trl/chat_templates</c>, whose <c>NAME_training.jinja</c> marks what is learned). It is run when it is asked for, and fails where the
/// folder is not to be found.
/// </summary>
[Trait("kind", "parity"), Trait("suite", "templates")]
public sealed class PublishedTemplateTests(ITestOutputHelper output)
{
    private const string Training = "_training.jinja";

    private static readonly Dictionary<string, string> Tokens =
        new() { ["bos_token"] = "<s>", ["eos_token"] = "</s>", ["pad_token"] = "<pad>" };

    private static JsonArray Talk => JsonNode.Parse("""
        [{"role": "user", "content": "q one"}, {"role": "assistant", "content": "ANS1"}, {"role": "user", "content": "q two"},
         {"role": "assistant", "content": "ANS2"}, {"role": "user", "content": "q three"}, {"role": "assistant", "content": "ANS3"}]
        """)!.AsArray();

    [Fact(Explicit = true)]
    public void Every_answer_of_a_plain_talk_is_learned_once_and_no_question()
    {
        var refused = 0;
        foreach (var file in Files())
        {
            if (Learned(file) is not { } parts)
            {
                refused++;
                continue;
            }
            Assert.Equal(["ANS1", "ANS2", "ANS3"], parts.Select(
                (part, i) => part.Contains($"ANS{i + 1}", StringComparison.Ordinal) ? $"ANS{i + 1}" : part));
            Assert.DoesNotContain(parts, part => part.Contains("q ", StringComparison.Ordinal));
        }
        output.WriteLine($"{Files().Count} templates, {refused} refuse the talk");
        Assert.True(refused * 2 < Files().Count);
    }

    [Fact(Explicit = true)]
    public void An_answer_ends_as_its_authors_training_template_ends_it()
    {
        var compared = 0;
        foreach (var marked in Files().Where(file => file.EndsWith(Training, StringComparison.Ordinal)))
        {
            var plain = marked[..^Training.Length] + ".jinja";
            if (!File.Exists(plain) || Learned(plain) is not { } ours || Learned(marked) is not { } theirs)
                continue;
            compared++;
            // White space behind the end, and a second end behind the last answer, are the training template's own.
            Assert.All(ours.Zip(theirs), pair => Assert.Contains(End(pair.First), pair.Second, StringComparison.Ordinal));
        }
        output.WriteLine($"{compared} pairs");
        Assert.True(compared > 0);
    }

    private static string End(string part) => part[part.IndexOf("ANS", StringComparison.Ordinal)..].TrimEnd();

    private static List<string>? Learned(string file)
    {
        Rendering rendering;
        try
        {
            rendering = new ChatLayout(JinjaTemplate.Parse(File.ReadAllText(file), file), Tokens).Render(new Dialogue(file, Talk), []);
        }
        catch (InputException)
        {
            return null;
        }
        var parts = new List<string>();
        var open = false;
        foreach (var span in rendering.Spans)
        {
            if (span.Learn && open)
                parts[^1] += span.Text;
            else if (span.Learn)
                parts.Add(span.Text);
            open = span.Learn;
        }
        return parts;
    }

    private static IReadOnlyList<string> Files()
    {
        var folder = Environment.GetEnvironmentVariable("POLYMATH_TEMPLATES");
        Assert.True(Directory.Exists(folder), "POLYMATH_TEMPLATES must name a folder of .jinja files.");
        return [.. Directory.GetFiles(folder!, "*.jinja").Order(StringComparer.Ordinal)];
    }
}
