using System.Text.RegularExpressions;

namespace Polymath.Text;

/// <summary>The names of the parts of shapes in published data.</summary>
internal static partial class ShapeKeys
{
    /// <summary>Lists of messages.</summary>
    internal static readonly string[] Talk = ["messages", "conversations", "conversation", "dialog", "dialogue", "chat"];

    /// <summary>The question.</summary>
    internal static readonly string[] Prompt = ["instruction", "prompt", "query", "question"];

    /// <summary>The subject of the question.</summary>
    internal static readonly string[] Input = ["input", "context", "passage"];

    /// <summary>The answer.</summary>
    internal static readonly string[] Answer = ["output", "response", "completion", "answer", "answers", "target"];

    /// <summary>Summaries, and their source texts.</summary>
    internal static readonly string[] Summary = ["summary", "highlights"],
        Summarized = ["document", "article", "dialogue", "post", "text", "content"];

    /// <summary>The message before the conversation.</summary>
    internal static readonly string[] System = ["system", "system_prompt", "system_message"];

    /// <summary>Earlier turns.</summary>
    internal static readonly string[] History = ["history"];

    /// <summary>Tools that may be called; the second is OpenAI's older name.</summary>
    internal static readonly string[] Tools = ["tools", "functions"];

    /// <summary>The better and the worse of two answers.</summary>
    internal static readonly string[] Chosen = ["chosen", "chosen_response", "response_chosen", "chosen_messages"];

    /// <summary>The worse of two answers.</summary>
    internal static readonly string[] Rejected = ["rejected", "rejected_response", "response_rejected", "rejected_messages"];

    /// <summary>By how much the better answer is better.</summary>
    internal const string Margin = "margin";

    /// <summary>The answer that should have been given, beside a better and a worse one.</summary>
    internal const string Gold = "reference";

    /// <summary>The steps of an answer, and for each whether it is right: lists.</summary>
    internal static readonly string[] Steps = ["completions", "steps"], StepLabels = ["labels", "ratings"];

    /// <summary>Whether an answer is good.</summary>
    internal static readonly string[] Flag = ["label", "kto_tag", "desirable"];

    /// <summary>Texts, and their labels.</summary>
    internal static readonly string[] Text = ["text", "sentence", "review", "content"], Label = ["label", "sentiment", "category", "class"];

    /// <summary>How much something is learned: a number or yes and no.</summary>
    internal static readonly string[] Weight =
        ["weight", "loss_weight", "loss", "loss_scale", "loss_mask", "train", "training", "trainable"];

    /// <summary>Whether shapes read a column of that name without making a field of that name.</summary>
    /// <param name="name">The column.</param>
    internal static bool AreRead(string name) =>
        Prompt.Contains(name) || Input.Contains(name) || Answer.Contains(name) || Summary.Contains(name);

    /// <summary>Whether a column holds another answer to the same question.</summary>
    /// <param name="name">The column.</param>
    internal static bool IsAnswer(string name) =>
        Answer.Contains(name) || Chosen.Contains(name) || Rejected.Contains(name) || AnotherAnswer().IsMatch(name);

    /// <summary>Whether a column holds pictures, sounds or videos.</summary>
    /// <param name="name">The column, or the kind of a part of a message.</param>
    internal static bool IsMedia(string name) => Media().IsMatch(name);

    [GeneratedRegex(@"\A(?:answer|output|response|completion|reply)s?[_-]?(?:[0-9]+|[a-d])\z", RegexOptions.IgnoreCase)]
    private static partial Regex AnotherAnswer();

    [GeneratedRegex(
        @"\A(?:input_)?(?:image|img|picture|photo|video|audio)s?(?:_(?:path|url|file|data|bytes))?s?\z", RegexOptions.IgnoreCase)]
    private static partial Regex Media();
}
