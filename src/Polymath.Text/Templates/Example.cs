namespace Polymath.Text.Templates;

/// <summary>A piece of data in one of the shapes that stages learn from.</summary>
/// <param name="Key">What it is called in messages.</param>
public abstract record Example(string Key);

/// <summary>A text to read.</summary>
/// <param name="Key">What it is called in messages.</param>
/// <param name="Text">The text.</param>
public sealed record Document(string Key, string Text) : Example(Key);

/// <summary>One turn of a conversation.</summary>
/// <param name="User">What the user says.</param>
/// <param name="Assistant">What the model answers; null where it has not answered yet.</param>
public sealed record Turn(string User, string? Assistant = null);

/// <summary>A conversation; only the answers are learned.</summary>
/// <param name="Key">What it is called in messages.</param>
/// <param name="Turns">The turns, at least one.</param>
public sealed record Conversation(string Key, IReadOnlyList<Turn> Turns) : Example(Key);

/// <summary>Fields and the label they belong to.</summary>
/// <param name="Key">What it is called in messages.</param>
/// <param name="Fields">The fields.</param>
/// <param name="Label">The label.</param>
public sealed record Labelled(string Key, IReadOnlyDictionary<string, string> Fields, string Label) : Example(Key);

/// <summary>A prompt with a better and a worse answer.</summary>
/// <param name="Key">What it is called in messages.</param>
/// <param name="Prompt">What the user says.</param>
/// <param name="Chosen">The better answer.</param>
/// <param name="Rejected">The worse answer.</param>
public sealed record Preference(string Key, string Prompt, string Chosen, string Rejected) : Example(Key);
