using System.Diagnostics;
using Polymath.Cli.Verbs;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Runs;
using Polymath.Text;
using Polymath.Text.Templates;
using Polymath.Training;
using Spectre.Console;

namespace Polymath.Cli;

/// <summary>A model whose answers are compared, and its name in the store.</summary>
/// <param name="Text">The model.</param>
/// <param name="Name">The digests of its weights.</param>
internal sealed record LabelledModel(TextModel Text, string Name);

/// <summary>Shows pairs of answers, and appends a vote for each.</summary>
/// <param name="model">The model.</param>
/// <param name="other">The model that gives the second answer; null for the same one.</param>
/// <param name="settings">How answers are sampled.</param>
/// <param name="store">Keeps the votes.</param>
/// <param name="rater">Who votes.</param>
internal sealed class LabelSession(
    LabelledModel model,
    LabelledModel? other,
    SamplingSettings settings,
    VoteStore store,
    string rater)
{
    private const int AtOnce = 4, Tries = 3;
    private const string Keys = "1 left is better, 2 right is better, t both good, b both bad, e write a better answer, s skip, q quit";

    private int given, same;

    /// <summary>Asks about prompts that this person has not been asked about yet.</summary>
    /// <param name="prompts">The prompts.</param>
    /// <param name="most">The most pairs.</param>
    internal int Go(IReadOnlyList<LabelPrompt> prompts, int most)
    {
        var known = store.Votes().Where(vote => vote.Rater == rater).Select(vote => vote.Prompt).ToHashSet();
        var open = prompts.Where(prompt => !known.Contains(prompt.Message)).ToList();
        if (open.Count == 0)
        {
            Console.WriteLine($"{rater} has voted on all {prompts.Count:N0} prompts. Give others with --prompts FILE, or another name with "
                + "--rater NAME.");
            return Outcome.Done;
        }
        Console.WriteLine($"{open.Count:N0} prompts. {Keys}.");
        foreach (var part in open.Chunk(AtOnce))
        {
            foreach (var (prompt, answers) in part.Zip(Pairs(part)))
            {
                if (given >= most) return End();
                if (answers is not var (left, right)) same++;
                else if (!Ask(prompt, left, right)) return End();
            }
        }
        return End();
    }

    private int End()
    {
        Console.WriteLine($"{given:N0} votes kept{(same > 0 ? $"; {same:N0} prompts left out, as both answers were the same" : "")}. "
            + "polymath votes FILE counts them.");
        return Outcome.Done;
    }

    // Two answers to each prompt, in an order that says nothing of who gave them; null where they stay the same.
    private List<(Side Left, Side Right)?> Pairs(LabelPrompt[] prompts)
    {
        var pairs = new (Side Left, Side Right)?[prompts.Length];
        var open = Enumerable.Range(0, prompts.Length).ToList();
        for (var attempt = 0; attempt < Tries && open.Count > 0; attempt++)
        {
            var seeded = settings with { Seed = settings.Seed + attempt + (long)Tries * given };
            var messages = open.ConvertAll(i => prompts[i].Message);
            var first = Answers(model, messages, seeded);
            var second = Answers(other ?? model, messages, seeded with { Seed = ~seeded.Seed });
            for (var i = 0; i < open.Count; i++)
            {
                if (first[i].Answer == second[i].Answer) continue;
                var swapped = new RandomStream(seeded.Seed, "sides " + messages[i], attempt).NextBits() % 2 == 0;
                pairs[open[i]] = swapped ? (second[i], first[i]) : (first[i], second[i]);
            }
            open = open.FindAll(i => pairs[i] is null);
        }
        return [.. pairs];
    }

    private static List<Side> Answers(LabelledModel by, List<string> messages, SamplingSettings settings) =>
    [
        .. by.Text.Each(
            [.. messages.Select(message => by.Text.Contract.Encode([new Turn(message)], by.Text.Tokenizer))],
            settings,
            messages.Count).Select(answer => new Side(answer.Text.Trim(), by.Name)),
    ];

    // False where the person leaves.
    private bool Ask(LabelPrompt prompt, Side left, Side right)
    {
        Show(prompt.Message, left.Answer, right.Answer);
        var clock = Stopwatch.StartNew();
        string? edited = null;
        while (true)
        {
            var key = Key();
            if (key is 'q' && edited is null) return false;
            if (key is 'e')
            {
                edited = Edited() ?? edited;
                Console.WriteLine("And which of the two is better? " + Keys);
                continue;
            }
            // What a person wrote is kept, though he leaves without a vote.
            if (key is not 'q' && VerdictOf(key) is null)
            {
                Console.WriteLine(Keys);
                continue;
            }
            store.Append(new Vote(
                prompt.Message,
                left.Answer,
                right.Answer,
                VerdictOf(key) ?? Verdict.Skip,
                edited,
                prompt.Source,
                model.Text.Contract.Template.System is { Length: > 0 } system ? system : null,
                left.By,
                right.By,
                LabelOptions.Told(settings),
                rater,
                clock.Elapsed.TotalSeconds,
                TimeProvider.System.GetUtcNow()));
            given++;
            return key is not 'q';
        }
    }

    private static Verdict? VerdictOf(char key) => key switch
    {
        '1' => Verdict.Left,
        '2' => Verdict.Right,
        't' => Verdict.Tie,
        'b' => Verdict.Bad,
        's' => Verdict.Skip,
        _ => null,
    };

    private static void Show(string prompt, string left, string right)
    {
        Console.WriteLine();
        if (Console.IsOutputRedirected)
        {
            Console.WriteLine($"? {prompt}\n[1] {left}\n[2] {right}");
            return;
        }
        AnsiConsole.MarkupLine($"[bold]{Markup.Escape(prompt)}[/]");
        var table = new Table().Expand().AddColumn(new TableColumn("1").Width(1)).AddColumn(new TableColumn("2").Width(1));
        table.AddRow(Markup.Escape(left), Markup.Escape(right));
        AnsiConsole.Write(table);
    }

    // A key of a person, or the first letter of a line of a file; the end of the input leaves.
    private static char Key()
    {
        if (Console.IsInputRedirected) return Console.ReadLine() is not { } line ? 'q' : line.Trim().ToLowerInvariant().FirstOrDefault(' ');
        var pressed = Console.ReadKey(intercept: true);
        return pressed.Key switch
        {
            ConsoleKey.LeftArrow => '1',
            ConsoleKey.RightArrow => '2',
            ConsoleKey.Escape => 'q',
            _ => char.ToLowerInvariant(pressed.KeyChar),
        };
    }

    private static string? Edited()
    {
        Console.WriteLine("Write the answer that should have been given; an empty line ends it.");
        var lines = new List<string>();
        while (Console.ReadLine() is { Length: > 0 } line) lines.Add(line);
        return lines.Count == 0 ? null : string.Join('\n', lines);
    }

    private sealed record Side(string Answer, string By);
}
